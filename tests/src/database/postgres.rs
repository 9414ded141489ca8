//! A PostgreSQL database, looked at from outside.

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{Contents, digest, is_bookkeeping};

/// A connection, with the runtime that drives it.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    client: Client,
}

impl Connection {
    pub(super) fn open(url: &str) -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(describe)?;
            drop(tokio::spawn(connection));
            Ok::<_, String>(client)
        })?;
        Ok(Self { runtime, client })
    }

    pub(super) fn sql(&self, sql: &str) -> Result<(), String> {
        self.runtime
            .block_on(self.client.batch_execute(sql))
            .map_err(describe)
    }

    pub(super) fn value(&self, sql: &str) -> Result<String, String> {
        let rows = self.rows(sql)?;
        let first = rows.into_iter().next().ok_or("there is no row")?;
        let cell = first.into_iter().next().ok_or("there is no column")?;
        Ok(cell.unwrap_or_else(|| "NULL".to_owned()))
    }

    /// Runs one query and returns each cell as the server writes it.
    fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let messages = self
            .runtime
            .block_on(self.client.simple_query(sql))
            .map_err(describe)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|index| row.get(index).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Runs one query and returns each cell as text; NULL is an empty one.
    pub(super) fn texts(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self
            .rows(sql)
            .unwrap_or_else(|error| panic!("the catalog can be read: {error}\n{sql}"));
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect()
    }

    pub(super) fn contents(&self) -> Contents {
        self.sql("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET search_path = pg_catalog")
            .expect("the session can be set");
        let mut contents = Contents::default();
        for part in PARTS {
            let sql = part.replace("$RELATION", RELATION);
            for fact in self.texts(&sql) {
                let mut cells = fact.into_iter();
                let name = cells.next().unwrap_or_default();
                let definition: Vec<String> = cells.collect();
                let earlier = contents.definitions.insert(name.clone(), definition.join(" "));
                assert_eq!(earlier, None, "two things are called {name}");
            }
        }
        for table in self.texts(TABLES) {
            let [schema, table] = &table[..] else {
                panic!("a table has a schema and a name");
            };
            if is_bookkeeping(table) {
                continue;
            }
            let name = if schema == "public" {
                table.clone()
            } else {
                format!("{schema}.{table}")
            };
            contents.rows.insert(name, self.table(schema, table));
        }
        contents
    }

    /// Reads the rows of a table, each cell under its column's name and with its type.
    fn table(&self, schema: &str, table: &str) -> Vec<String> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!("SELECT * FROM ONLY {}.{}", quoted(schema), quoted(table));
        let statement = self
            .runtime
            .block_on(self.client.prepare(&sql))
            .expect("the table can be read");
        let columns: Vec<(String, Type)> = statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_().clone()))
            .collect();
        let mut rows: Vec<String> = self
            .rows(&sql)
            .expect("the table can be read")
            .into_iter()
            .map(|row| {
                let mut cells: Vec<String> = columns
                    .iter()
                    .zip(row)
                    .map(|((name, kind), cell)| match cell {
                        None => format!("{name}=NULL"),
                        Some(text) => match digest(text.as_bytes()) {
                            Some(digest) => format!("{name}={kind} {digest}"),
                            None => format!("{name}={kind}{text:?}"),
                        },
                    })
                    .collect();
                cells.sort();
                cells.join(" ")
            })
            .collect();
        rows.sort();
        rows
    }
}

fn describe(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    }
}

/// Makes a query for each foreign key that counts the rows whose reference leads nowhere, and one for indexes
/// that are not valid.
pub(super) const CHECKS: &str = "SELECT format('SELECT count(*) FROM %s c LEFT JOIN %s p ON (%s) WHERE p.%I IS NULL AND %s', \
        k.conrelid::regclass, k.confrelid::regclass, string_agg(format('c.%I = p.%I', a.attname, b.attname), ' AND '), min(b.attname), \
        string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ')) \
     FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (one, other) \
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.one JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.other \
     WHERE k.contype = 'f' AND k.conparentid = 0 GROUP BY k.oid, k.conrelid, k.confrelid \
     UNION ALL SELECT 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'";

/// A relation `c` in a schema `n` that is neither the server's nor walkback's.
const RELATION: &str = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relname !~ '^_walkback_' \
    AND c.relname NOT IN ('__diesel_schema_migrations', '__diesel_schema_migrations_pkey', 'alembic_version', \
     'alembic_version_pkc', 'databasechangelog', 'databasechangeloglock', 'databasechangeloglock_pkey') \
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') ";

const TABLES: &str = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relkind IN ('r', 'p', 'm')";

/// Queries of a name and what there is to say of it. Positions of sequences and storage are no definitions.
const PARTS: &[&str] = &[
    // Relations of every kind.
    "SELECT CASE c.relkind WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' \
        WHEN 'c' THEN 'type' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' WHEN 'f' THEN 'foreign table' ELSE 'table' END \
        || ' ' || c.oid::regclass, \
     pg_get_userbyid(c.relowner), c.relpersistence, c.reloptions::text, c.relacl::text, obj_description(c.oid, 'pg_class'), \
     CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relforcerowsecurity THEN 'forced' END, c.relreplident, \
     pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), \
     CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, \
     CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END, \
     (SELECT CASE WHEN i.indisvalid THEN '' ELSE 'INVALID' END || CASE WHEN i.indisreplident THEN ' identity' ELSE '' END || CASE WHEN i.indisclustered THEN ' clustered' ELSE '' END \
        FROM pg_index i WHERE i.indexrelid = c.oid), \
     (SELECT format('%s %s %s %s %s %s %s', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) FROM pg_sequence WHERE seqrelid = c.oid), \
     (SELECT string_agg(format('owned by %s.%s', d.refobjid::regclass, a.attname), ' ') FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
        WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')), \
     (SELECT string_agg('inherits ' || i.inhparent::regclass, ' ' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid), \
     CASE WHEN c.relkind IN ('r', 'p', 'c', 'f', 'v') THEN (SELECT string_agg(format('%I %s%s%s%s%s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod), \
            CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation::text END, \
            CASE WHEN a.attnotnull THEN ' NOT NULL' END, \
            CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text END, CASE WHEN a.attgenerated <> '' THEN ' generated ' || a.attgenerated::text END, \
            ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ' ' || a.attacl::text, ' ' || col_description(c.oid, a.attnum)), ', ' ORDER BY a.attnum) \
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END \
     FROM $RELATION AND c.relkind <> 't'",
    "SELECT format('constraint %s on %s', k.conname, c.oid::regclass), pg_get_constraintdef(k.oid), CASE WHEN k.convalidated THEN '' ELSE 'not validated' END, \
        obj_description(k.oid, 'pg_constraint') \
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relname !~ '^_walkback_' AND c.relname NOT IN ('__diesel_schema_migrations', \
     'alembic_version', 'databasechangelog', 'databasechangeloglock')",
    "SELECT format('trigger %s on %s', t.tgname, c.oid::regclass), pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger') \
     FROM pg_trigger t CROSS JOIN $RELATION AND c.oid = t.tgrelid AND NOT t.tgisinternal",
    "SELECT format('rule %s on %s', r.rulename, c.oid::regclass), pg_get_ruledef(r.oid), r.ev_enabled \
     FROM pg_rewrite r CROSS JOIN $RELATION AND c.oid = r.ev_class AND r.rulename <> '_RETURN'",
    "SELECT format('policy %s on %s', p.polname, c.oid::regclass), p.polcmd, p.polpermissive, p.polroles::regrole[]::text, \
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid) \
     FROM pg_policy p CROSS JOIN $RELATION AND c.oid = p.polrelid",
    "SELECT 'routine ' || p.oid::regprocedure, CASE WHEN p.prokind = 'a' THEN 'aggregate ' || (SELECT a::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid) \
        ELSE pg_get_functiondef(p.oid) END, pg_get_userbyid(p.proowner), p.proacl::text, obj_description(p.oid, 'pg_proc') \
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
     WHERE n.nspname !~ '^pg_|^information_schema$' AND p.proname !~ '^_walkback_' \
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')",
    "SELECT 'type ' || t.oid::regtype, t.typtype, pg_get_userbyid(t.typowner), t.typacl::text, t.typnotnull, t.typdefault, obj_description(t.oid, 'pg_type'), \
        CASE WHEN t.typbasetype <> 0 THEN format_type(t.typbasetype, t.typtypmod) END, \
        (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), \
        (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE contypid = t.oid), \
        (SELECT rngsubtype::regtype::text FROM pg_range WHERE rngtypid = t.oid) \
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
     WHERE n.nspname !~ '^pg_|^information_schema$' AND t.typtype IN ('e', 'd', 'r') \
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')",
    "SELECT 'statistics ' || s.stxname, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s CROSS JOIN $RELATION AND c.oid = s.stxrelid",
    "SELECT 'extension ' || extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'",
    "SELECT 'schema ' || nspname, pg_get_userbyid(nspowner), nspacl::text, obj_description(oid, 'pg_namespace') FROM pg_namespace \
     WHERE nspname !~ '^pg_|^information_schema$|^_walkback' AND nspname <> 'public'",
    "SELECT 'publication ' || p.pubname, p.puballtables, (SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid::regclass::text) FROM pg_publication_rel r WHERE r.prpubid = p.oid) \
     FROM pg_publication p",
];
