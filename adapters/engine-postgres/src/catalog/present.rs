//! Which kinds of objects a database has at all.
//!
//! Most databases have few of them, and the server takes longer to plan a query of five catalogs than to see that one
//! of these is empty. What is said here may hold more than the query behind it returns, never less.

use walkback_core::{Cx, Result};

use super::queries;
use crate::link::{Link, Texts};

/// A kind of objects that a database may have none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Schemas,
    Extensions,
    Types,
    Aggregates,
    Routines,
    Views,
    Triggers,
    Rules,
    Policies,
    Statistics,
    Sequences,
    Parents,
    Grants,
    Comments,
}

/// Each kind, what holds if there may be one of it, and the query that returns all of it.
const KINDS: [(Kind, &str, &str); 14] = [
    (
        Kind::Schemas,
        "EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE oid >= 16384)",
        queries::SCHEMAS,
    ),
    (
        Kind::Extensions,
        "EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql')",
        queries::EXTENSIONS,
    ),
    (
        Kind::Types,
        "EXISTS (SELECT FROM pg_catalog.pg_type WHERE oid >= 16384 AND typtype NOT IN ('b', 'c')) \
         OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind = 'c')",
        queries::TYPES,
    ),
    (
        Kind::Aggregates,
        "EXISTS (SELECT FROM pg_catalog.pg_aggregate WHERE aggfnoid::oid >= 16384)",
        queries::AGGREGATES,
    ),
    (
        Kind::Routines,
        "EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= 16384)",
        queries::ROUTINES,
    ),
    (
        Kind::Views,
        "EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('v', 'm'))",
        queries::VIEWS,
    ),
    (
        Kind::Triggers,
        "EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal)",
        queries::TRIGGERS,
    ),
    (
        Kind::Rules,
        "EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE oid >= 16384 AND rulename <> '_RETURN')",
        queries::RULES,
    ),
    (
        Kind::Policies,
        "EXISTS (SELECT FROM pg_catalog.pg_policy)",
        queries::POLICIES,
    ),
    (
        Kind::Statistics,
        "EXISTS (SELECT FROM pg_catalog.pg_statistic_ext)",
        queries::STATISTICS,
    ),
    (
        Kind::Sequences,
        "EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'S' AND oid >= 16384 AND relname !~ '^_walkback_')",
        queries::SEQUENCES,
    ),
    (
        Kind::Parents,
        "EXISTS (SELECT FROM pg_catalog.pg_inherits)",
        queries::PARENTS,
    ),
    (
        Kind::Grants,
        "EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384 AND relacl IS NOT NULL) \
         OR EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attacl IS NOT NULL) \
         OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= 16384 AND proacl IS NOT NULL) \
         OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE oid >= 16384 AND typacl IS NOT NULL) \
         OR EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspacl IS NOT NULL)",
        queries::GRANTS,
    ),
    (
        Kind::Comments,
        "EXISTS (SELECT FROM pg_catalog.pg_description WHERE objoid >= 16384)",
        queries::COMMENTS,
    ),
];

/// The kinds there may be something of.
#[derive(Debug)]
pub(super) struct Present(Vec<Kind>);

impl Present {
    /// Asks for all kinds at once.
    pub(super) async fn read(link: &mut Link, cx: &Cx) -> Result<Self> {
        let conditions: Vec<_> = KINDS
            .iter()
            .map(|(_, holds, _)| format!("({holds})::text"))
            .collect();
        let rows = link
            .texts(cx, &format!("SELECT {}", conditions.join(", ")), &[])
            .await?;
        let is_there = |index: usize| rows.first().is_none_or(|row| row.is(index));
        let kinds = KINDS.iter().enumerate();
        Ok(Self(
            kinds
                .filter(|(index, _)| is_there(*index))
                .map(|(_, (kind, _, _))| *kind)
                .collect(),
        ))
    }

    /// Reads all objects of a kind; none without asking if there is none.
    pub(super) async fn texts(&self, link: &mut Link, cx: &Cx, kind: Kind) -> Result<Vec<Texts>> {
        let found = KINDS.iter().find(|(other, _, _)| *other == kind);
        match found {
            Some((_, _, sql)) if self.0.contains(&kind) => link.texts(cx, sql, &[]).await,
            _ => Ok(Vec::new()),
        }
    }
}
