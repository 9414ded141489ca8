//! Partitions that stay while their table is exchanged for one of other columns.
//!
//! A partition that was made since the point is in none. It is taken out with its rows, gets the columns of the table
//! that takes the place, and is taken in again.

use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::link::{Link, Texts};

/// A partition that stays.
#[derive(Debug)]
pub(crate) struct Part {
    /// Quoted.
    parent: String,
    /// As the server spells it.
    child: String,
    bound: String,
    /// Constraints and indexes that it has from its table: a name, and the statement that drops it.
    inherited: Vec<(String, String)>,
    /// Columns of which it says something else than its table: a name, and the actions that say it.
    own: Vec<(String, Vec<String>)>,
}

/// What a partition (`$2`) says of its columns that its table (`$1`) does not: defaults, and that there are no `NULL`s.
const OWN: &str = "\
SELECT pg_catalog.quote_ident(c.attname), \
  CASE WHEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_catalog.pg_get_expr(pd.adbin, pd.adrelid) \
    THEN coalesce('SET DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT') END, \
  CASE WHEN c.attnotnull AND NOT p.attnotnull THEN 'SET NOT NULL' END \
FROM pg_catalog.pg_attribute c \
JOIN pg_catalog.pg_attribute p ON p.attrelid = pg_catalog.to_regclass($1) AND p.attname = c.attname \
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum \
LEFT JOIN pg_catalog.pg_attrdef pd ON pd.adrelid = p.attrelid AND pd.adnum = p.attnum \
WHERE c.attrelid = pg_catalog.to_regclass($2) AND c.attnum > 0 AND NOT c.attisdropped AND c.attgenerated = '' AND c.attidentity = ''";

/// The columns of a table.
const COLUMNS: &str = "SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute \
WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped";

/// Constraints and indexes of a partition that are parts of its table's.
const INHERITED: &str = "\
SELECT pg_catalog.quote_ident(o.conname), \
  pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', o.conrelid::pg_catalog.regclass, o.conname) \
FROM pg_catalog.pg_constraint o WHERE o.conrelid = pg_catalog.to_regclass($1) AND o.contype IN ('c', 'p', 'u', 'f', 'x') \
  AND (o.coninhcount > 0 OR o.conparentid <> 0) \
UNION ALL SELECT pg_catalog.quote_ident(c.relname), pg_catalog.format('DROP INDEX IF EXISTS %s', i.indexrelid::pg_catalog.regclass) \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relispartition \
WHERE i.indrelid = pg_catalog.to_regclass($1) \
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = i.indrelid)";

/// The steps in which columns go and come.
const GOES: &str = "1";
const COMES: &str = "2";

/// What a partition (`$2`) lacks to be one of a table (`$1`): the statements, in their order, with
/// the type of a column that goes or comes.
const LACKS: &str = "\
SELECT pg_catalog.format('ALTER TABLE %s %s', pg_catalog.to_regclass($2), what), step::text, of_type FROM ( \
WITH p AS (SELECT a.*, pg_catalog.format_type(a.atttypid, a.atttypmod) AS of_type, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression, \
    CASE WHEN a.attcollation <> t.typcollation THEN pg_catalog.format(' COLLATE %s', a.attcollation::pg_catalog.regcollation) ELSE '' END AS collated \
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
  WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped), \
c AS (SELECT a.*, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression FROM pg_catalog.pg_attribute a \
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
  WHERE a.attrelid = pg_catalog.to_regclass($2) AND a.attnum > 0 AND NOT a.attisdropped) \
SELECT 1 AS step, c.attnum, pg_catalog.format('DROP COLUMN %I', c.attname) AS what, pg_catalog.format_type(c.atttypid, NULL) AS of_type FROM c \
WHERE NOT EXISTS (SELECT FROM p WHERE p.attname = c.attname AND p.attgenerated = c.attgenerated) \
UNION ALL SELECT 2, p.attnum, pg_catalog.format('ADD COLUMN %I %s%s%s%s', p.attname, p.of_type, p.collated, \
  CASE WHEN p.attgenerated <> '' THEN pg_catalog.format(' GENERATED ALWAYS AS (%s) STORED', p.expression) \
    ELSE ' DEFAULT ' || p.expression END, CASE WHEN p.attnotnull THEN ' NOT NULL' END), pg_catalog.format_type(p.atttypid, NULL) FROM p \
WHERE NOT EXISTS (SELECT FROM c WHERE c.attname = p.attname AND p.attgenerated = c.attgenerated) \
UNION ALL SELECT 3, p.attnum, pg_catalog.format('ALTER COLUMN %I DROP DEFAULT, ALTER COLUMN %1$I TYPE %s%s USING %1$I::text::%2$s', \
  p.attname, p.of_type, p.collated), NULL FROM p JOIN c ON c.attname = p.attname AND c.attgenerated = '' AND p.attgenerated = '' \
WHERE (c.atttypid, c.atttypmod, c.attcollation) <> (p.atttypid, p.atttypmod, p.attcollation) \
UNION ALL SELECT 4, p.attnum, pg_catalog.format('ALTER COLUMN %I %s', p.attname, coalesce('SET DEFAULT ' || p.expression, 'DROP DEFAULT')), NULL \
FROM p JOIN c ON c.attname = p.attname AND p.attgenerated = '' AND c.attgenerated = '' AND p.attidentity = '' \
WHERE p.expression IS DISTINCT FROM c.expression \
  OR (c.atttypid, c.atttypmod, c.attcollation) <> (p.atttypid, p.atttypmod, p.attcollation) \
UNION ALL SELECT 5, p.attnum, pg_catalog.format('ALTER COLUMN %I %s NOT NULL', p.attname, CASE WHEN p.attnotnull THEN 'SET' ELSE 'DROP' END), NULL \
FROM p JOIN c ON c.attname = p.attname WHERE p.attnotnull <> c.attnotnull \
UNION ALL SELECT 6, 0, pg_catalog.format('ADD CONSTRAINT %I %s', o.conname, pg_catalog.pg_get_constraintdef(o.oid)), NULL \
FROM pg_catalog.pg_constraint o WHERE o.conrelid = pg_catalog.to_regclass($1) AND o.contype = 'c' AND NOT o.connoinherit \
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint own WHERE own.conrelid = pg_catalog.to_regclass($2) AND own.conname = o.conname) \
) steps ORDER BY step, attnum";

impl Link {
    /// Notes what a partition is, before it is taken out.
    pub(crate) async fn part_of(
        &mut self,
        cx: &Cx,
        (parent, child, bound): (&str, &str, &str),
    ) -> Result<Part> {
        let inherited = self.texts(cx, INHERITED, &[child]).await?;
        let own = self.texts(cx, OWN, &[parent, child]).await?;
        let own = own.iter().map(|row| {
            let actions = [1, 2].into_iter().filter_map(|index| row.find(index));
            (row.get(0).to_owned(), actions.map(str::to_owned).collect())
        });
        Ok(Part {
            own: own.collect(),
            parent: parent.to_owned(),
            child: child.to_owned(),
            bound: bound.to_owned(),
            inherited: inherited
                .iter()
                .map(|row| (row.get(0).to_owned(), row.get(1).to_owned()))
                .collect(),
        })
    }

    /// Makes a partition like the table that it belongs to now, and takes it in.
    pub(crate) async fn take_in(&mut self, cx: &Cx, part: &Part) -> Result<()> {
        let Part {
            parent,
            child,
            bound,
            inherited,
            own,
        } = part;
        let hint = format!(
            "nothing was changed; take it out with `ALTER TABLE {parent} DETACH PARTITION {child}`, run the command again, and put \
             its rows where they belong then"
        );
        let lacks = self.texts(cx, LACKS, &[parent, child]).await?;
        let in_step = |step: &'static str| lacks.iter().filter(move |row| row.get(1) == step);
        let is_alike = |gone: &Texts| in_step(COMES).any(|come| come.get(2) == gone.get(2));
        if in_step(GOES).any(is_alike) {
            // It may be one column under another name, and its values would go.
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "{child} is a partition of {parent} that was made since, a column of it goes and one of that type comes: nobody knows \
                     whether it is the same under another name"
                ),
            )
            .hint(hint));
        }
        for row in &lacks {
            self.batch(cx, row.get(0)).await.map_err(|error| {
                error
                    .wrap(format!(
                        "{child} is a partition of {parent} that was made since, and cannot be made like {parent} as it was before"
                    ))
                    .hint(hint.clone())
            })?;
        }
        let columns = self.texts(cx, COLUMNS, &[child]).await?;
        for (column, actions) in own {
            let has = columns.iter().any(|row| row.get(0) == column);
            for action in actions.iter().filter(|_| has && !lacks.is_empty()) {
                let sql = format!("ALTER TABLE {child} ALTER COLUMN {column} {action}");
                self.batch(cx, &sql).await?;
            }
        }
        self.batch(
            cx,
            &format!("ALTER TABLE {parent} ATTACH PARTITION {child} {bound}"),
        )
        .await?;
        // What only the table as it is now has asked for goes with that.
        let left = self.texts(cx, INHERITED, &[child]).await?;
        let is_asked_for = |name: &str| left.iter().any(|row| row.get(0) == name);
        for (_, drop) in inherited.iter().filter(|(name, _)| !is_asked_for(name)) {
            self.batch(cx, drop).await?;
        }
        Ok(())
    }
}
