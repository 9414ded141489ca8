//! Which rights the actions of a statement need.

use walkback_core::TableName;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;

/// A right that something needs: any of these, on this table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) rights: &'static [&'static str],
    /// `None`: on the whole database.
    pub(super) table: Option<String>,
    /// For what, in words.
    pub(super) what: String,
}

/// Returns the rights that an action needs.
pub(super) fn needs(action: &Action) -> Vec<Need> {
    let need = |rights: &'static [&'static str], table: Option<&TableName>, what: String| Need {
        rights,
        table: table.map(|table| table.name.clone()),
        what,
    };
    let on = |rights: &'static [&'static str], table: &TableName, verb: &str| {
        need(rights, Some(table), format!("{verb} table `{table}`"))
    };
    match action {
        Action::Create {
            kind,
            name,
            on: table,
            or_replace,
            ..
        } => {
            let mut needs = needs_of_object(*kind, name, table.as_ref(), true);
            if *or_replace && matches!(kind, ObjectKind::View | ObjectKind::Table) {
                needs.push(on(&["DROP"], name, "drop"));
            }
            needs
        }
        Action::Drop {
            kind,
            name,
            on: table,
        } => needs_of_object(*kind, name, table.as_ref(), false),
        Action::DropTable { table } => vec![on(&["DROP"], table, "drop")],
        Action::RenameTable { from, to } => vec![
            on(&["ALTER"], from, "rename"),
            on(&["DROP"], from, "rename"),
            on(&["CREATE"], to, "create"),
            on(&["INSERT"], to, "insert into"),
        ],
        Action::AddColumn { table, .. }
        | Action::DropColumn { table, .. }
        | Action::RenameColumn { table, .. }
        | Action::AlterColumn { table, .. } => vec![on(&["ALTER"], table, "alter")],
        Action::Alter { kind, name } => match kind {
            ObjectKind::Table => vec![on(&["ALTER"], name, "alter")],
            kind => needs_of_object(*kind, name, None, true),
        },
        Action::Insert { table, may_overwrite } => {
            let mut needs = vec![on(&["INSERT"], table, "insert into")];
            if *may_overwrite {
                needs.push(on(&["UPDATE", "DELETE"], table, "overwrite rows of"));
            }
            needs
        }
        Action::Update { table } => vec![on(&["UPDATE"], table, "update"), on(&["SELECT"], table, "read")],
        Action::Delete { table } => vec![
            on(&["DELETE"], table, "delete from"),
            on(&["SELECT"], table, "read"),
        ],
        Action::Truncate { table } => vec![on(&["DROP"], table, "empty")],
        _ => Vec::new(),
    }
}

fn needs_of_object(
    kind: ObjectKind,
    name: &TableName,
    on: Option<&TableName>,
    is_created: bool,
) -> Vec<Need> {
    let verb = if is_created { "create" } else { "drop" };
    let what = format!("{verb} {} `{name}`", kind.word());
    let (rights, table): (&'static [&'static str], Option<&TableName>) = match (kind, is_created) {
        (ObjectKind::Table | ObjectKind::Sequence, true) => (&["CREATE"], Some(name)),
        (ObjectKind::Table | ObjectKind::Sequence | ObjectKind::View, false) => (&["DROP"], Some(name)),
        (ObjectKind::View, true) => (&["CREATE VIEW"], Some(name)),
        (ObjectKind::Index, _) => (&["INDEX", "ALTER"], on),
        (ObjectKind::Constraint, _) => (&["ALTER"], on),
        (ObjectKind::Trigger, _) => (&["TRIGGER"], on),
        (ObjectKind::Routine, true) => (&["CREATE ROUTINE"], None),
        (ObjectKind::Routine, false) => (&["ALTER ROUTINE"], None),
        (ObjectKind::Event, _) => (&["EVENT"], None),
        (ObjectKind::Schema, true) => (&["CREATE"], None),
        (ObjectKind::Schema, false) => (&["DROP"], None),
        _ => return Vec::new(),
    };
    vec![Need {
        rights,
        table: table.map(|table| table.name.clone()),
        what,
    }]
}
