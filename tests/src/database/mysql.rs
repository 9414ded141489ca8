//! A MySQL or MariaDB database, looked at from outside.

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, Opts, Row, Value};
use tokio::runtime::{Builder, Runtime};

use super::{Contents, digest, is_bookkeeping};

/// A connection, with the runtime that drives it.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    connection: Option<Conn>,
}

impl Connection {
    pub(super) fn open(url: &str) -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let options = Opts::from_url(url).map_err(|error| error.to_string())?;
        let mut connection = runtime
            .block_on(Conn::new(options))
            .map_err(|error| error.to_string())?;
        runtime
            .block_on(connection.query_drop("SET NAMES utf8mb4, time_zone = '+00:00'"))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            runtime,
            connection: Some(connection),
        })
    }

    fn connection(&mut self) -> (&Runtime, &mut Conn) {
        let connection = self.connection.as_mut().expect("it is open until it is dropped");
        (&self.runtime, connection)
    }

    pub(super) fn sql(&mut self, sql: &str) -> Result<(), String> {
        let (runtime, connection) = self.connection();
        runtime
            .block_on(connection.query_drop(sql))
            .map_err(|error| error.to_string())
    }

    pub(super) fn value(&mut self, sql: &str) -> Result<String, String> {
        let (runtime, connection) = self.connection();
        let row: Option<Row> = runtime
            .block_on(connection.query_first(sql))
            .map_err(|error| error.to_string())?;
        let values = row.ok_or("there is no row")?.unwrap_raw();
        match values.into_iter().next().flatten() {
            None | Some(Value::NULL) => Ok("NULL".to_owned()),
            Some(Value::Bytes(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Some(value) => Ok(value.as_sql(true)),
        }
    }

    /// Runs one query and returns each cell as the server writes it; NULL is an empty text.
    pub(super) fn texts(&mut self, sql: &str) -> Vec<Vec<String>> {
        let (runtime, connection) = self.connection();
        let rows: Vec<Row> = runtime
            .block_on(connection.query(sql))
            .unwrap_or_else(|error| panic!("the catalog can be read: {error}\n{sql}"));
        rows.into_iter()
            .map(|row| row.unwrap_raw().into_iter().map(text).collect())
            .collect()
    }

    pub(super) fn contents(&mut self) -> Contents {
        let mut contents = Contents::default();
        let maria = self
            .value("SELECT VERSION()")
            .is_ok_and(|version| version.contains("MariaDB"));
        for part in PARTS.iter().chain(if maria { ON_MARIADB } else { ON_MYSQL }) {
            for fact in self.texts(part) {
                let [table, name, definition @ ..] = &fact[..] else {
                    panic!("a part gives a table and a name");
                };
                if !is_bookkeeping(table) {
                    let definition = definition.join(" ");
                    let earlier = contents.definitions.insert(name.clone(), definition);
                    assert_eq!(earlier, None, "two things are called {name}");
                }
            }
        }
        for (list, show, column) in SHOWN {
            for name in self.texts(list).into_iter().map(|row| row[0].clone()) {
                let shown = self.texts(&format!("{show} `{}`", name.replace('`', "``")));
                contents.definitions.insert(
                    format!("{} {name}", &show["SHOW CREATE ".len()..]),
                    shown[0][*column].clone(),
                );
            }
        }
        let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'";
        for table in self.texts(tables).into_iter().map(|row| row[0].clone()) {
            if !is_bookkeeping(&table) {
                let rows = self.table(&table);
                contents.rows.insert(table, rows);
            }
        }
        contents
    }

    /// Reads the rows of a table, each cell under its column's name and with its type.
    fn table(&mut self, table: &str) -> Vec<String> {
        let name = table.replace('\'', "''");
        let columns = self.texts(&format!(
            "SELECT CONCAT('`', REPLACE(column_name, '`', '``'), '`') FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = '{name}' ORDER BY ordinal_position"
        ));
        let columns: Vec<String> = columns.into_iter().map(|row| row[0].clone()).collect();
        let sql = format!(
            "SELECT {} FROM `{}`",
            columns.join(", "),
            table.replace('`', "``")
        );
        let (runtime, connection) = self.connection();
        // The prepared protocol gives numbers as they are; as text a FLOAT would lose digits.
        let rows: Vec<Row> = runtime
            .block_on(connection.exec(sql, ()))
            .expect("the table can be read");
        let mut rows: Vec<String> = rows
            .into_iter()
            .map(|row| {
                let columns = row.columns();
                let cells = row.unwrap_raw();
                let mut cells: Vec<String> = columns
                    .iter()
                    .zip(cells)
                    .map(|(column, value)| format!("{}={}", column.name_str(), cell(column, value)))
                    .collect();
                cells.sort();
                cells.join(" ")
            })
            .collect();
        rows.sort();
        rows
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The server frees locks when it notices that the socket is closed; saying good-bye is quicker.
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.disconnect()).ok();
        }
    }
}

fn text(value: Option<Value>) -> String {
    match value {
        None | Some(Value::NULL) => String::new(),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(value) => value.as_sql(true),
    }
}

fn cell(column: &Column, value: Option<Value>) -> String {
    const BINARY: u16 = 63;
    match value {
        None | Some(Value::NULL) => "NULL".to_owned(),
        Some(Value::Float(number)) => format!("f{:08x}", number.to_bits()),
        Some(Value::Double(number)) => format!("d{:016x}", number.to_bits()),
        Some(Value::Bytes(bytes)) => {
            let is_text = column.character_set() != BINARY
                || matches!(
                    column.column_type(),
                    ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_JSON
                );
            match (digest(&bytes), std::str::from_utf8(&bytes)) {
                (Some(digest), _) => format!("{} {digest}", if is_text { 't' } else { 'b' }),
                (None, Ok(text)) if is_text => format!("t{text:?}"),
                _ => format!("b{bytes:?}"),
            }
        }
        Some(value) => format!("{:?} {}", column.column_type(), value.as_sql(true)),
    }
}

/// Makes a query for each foreign key that counts the rows whose reference leads nowhere.
pub(super) const CHECKS: &str = "SELECT CONCAT('SELECT COUNT(*) FROM `', k.table_name, '` c LEFT JOIN `', k.referenced_table_name, '` p ON ', \
        GROUP_CONCAT('c.`', k.column_name, '` = p.`', k.referenced_column_name, '`' SEPARATOR ' AND '), \
        ' WHERE p.`', MIN(k.referenced_column_name), '` IS NULL AND ', GROUP_CONCAT('c.`', k.column_name, '` IS NOT NULL' SEPARATOR ' AND ')) \
     FROM (SELECT constraint_name, REPLACE(table_name, '`', '``') AS table_name, REPLACE(column_name, '`', '``') AS column_name, \
             REPLACE(referenced_table_name, '`', '``') AS referenced_table_name, REPLACE(referenced_column_name, '`', '``') AS referenced_column_name \
           FROM information_schema.key_column_usage WHERE constraint_schema = DATABASE() AND referenced_table_name IS NOT NULL) AS k \
     GROUP BY k.constraint_name, k.table_name, k.referenced_table_name";

/// Queries of a table, a name and what there is to say of it. Positions of counters are no definitions.
const PARTS: &[&str] = &[
    "SELECT t.table_name, CONCAT('table ', t.table_name), t.table_type, t.engine, t.row_format, t.table_collation, t.create_options, t.table_comment \
     FROM information_schema.tables t WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'",
    "SELECT c.table_name, CONCAT('column ', c.table_name, '.', c.column_name), c.ordinal_position, c.column_type, c.is_nullable, c.column_default, c.extra, \
        c.generation_expression, c.character_set_name, c.collation_name, c.column_comment \
     FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
     WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'",
    "SELECT c.table_name, CONCAT('constraint ', c.constraint_name, ' on ', c.table_name), c.constraint_type, \
        (SELECT GROUP_CONCAT(CONCAT_WS('.', k.column_name, k.referenced_table_name, k.referenced_column_name) ORDER BY k.ordinal_position) \
           FROM information_schema.key_column_usage k WHERE k.constraint_schema = c.constraint_schema AND k.table_name = c.table_name AND k.constraint_name = c.constraint_name), \
        (SELECT CONCAT_WS(' ', r.update_rule, r.delete_rule, r.unique_constraint_name) FROM information_schema.referential_constraints r \
           WHERE r.constraint_schema = c.constraint_schema AND r.table_name = c.table_name AND r.constraint_name = c.constraint_name) \
     FROM information_schema.table_constraints c WHERE c.constraint_schema = DATABASE() AND c.table_schema = DATABASE()",
    "SELECT p.table_name, CONCAT('partition ', p.table_name, '.', p.partition_name), p.partition_method, p.partition_expression, p.partition_description, p.partition_ordinal_position \
     FROM information_schema.partitions p WHERE p.table_schema = DATABASE() AND p.partition_name IS NOT NULL",
    "SELECT event_object_table, CONCAT('trigger ', trigger_name), event_object_table, action_timing, event_manipulation, action_order, action_statement, sql_mode, definer, \
        character_set_client, collation_connection \
     FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
];

const ON_MYSQL: &[&str] = &[
    "SELECT s.table_name, CONCAT('index ', s.index_name, ' on ', s.table_name), MIN(s.non_unique), MIN(s.index_type), MIN(s.is_visible), MIN(s.index_comment), \
        GROUP_CONCAT(CONCAT_WS(' ', COALESCE(s.column_name, s.expression), s.sub_part, s.collation) ORDER BY s.seq_in_index) \
     FROM information_schema.statistics s WHERE s.table_schema = DATABASE() GROUP BY s.table_name, s.index_name",
    "SELECT t.table_name, CONCAT('check ', c.constraint_name), c.check_clause, t.enforced FROM information_schema.check_constraints c \
     JOIN information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name \
     WHERE c.constraint_schema = DATABASE()",
];

const ON_MARIADB: &[&str] = &[
    "SELECT s.table_name, CONCAT('index ', s.index_name, ' on ', s.table_name), MIN(s.non_unique), MIN(s.index_type), MIN(s.ignored), MIN(s.index_comment), \
        GROUP_CONCAT(CONCAT_WS(' ', s.column_name, s.sub_part, s.collation) ORDER BY s.seq_in_index) \
     FROM information_schema.statistics s WHERE s.table_schema = DATABASE() GROUP BY s.table_name, s.index_name",
    "SELECT c.table_name, CONCAT('check ', c.constraint_name, ' on ', c.table_name), c.level, c.check_clause FROM information_schema.check_constraints c \
     WHERE c.constraint_schema = DATABASE()",
];

/// How to list what only `SHOW CREATE` shows, how to show one, and in which column it is.
const SHOWN: &[(&str, &str, usize)] = &[
    (
        "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()",
        "SHOW CREATE VIEW",
        1,
    ),
    (
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION'",
        "SHOW CREATE FUNCTION",
        2,
    ),
    (
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE'",
        "SHOW CREATE PROCEDURE",
        2,
    ),
    (
        "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE()",
        "SHOW CREATE EVENT",
        3,
    ),
    (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'",
        "SHOW CREATE SEQUENCE",
        1,
    ),
];
