//! What is left out of a dump of plain SQL before it is loaded: whatever would leave the scratch database.

use std::io::{BufRead, Write};

use walkback_core::dump::DumpFormat;

/// What a dump says of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Stays.
    Kept,
    /// Is left out: it is about roles that are not there.
    LeftOut,
}

/// Sees a dump line by line and says which lines are loaded.
#[derive(Debug)]
pub(super) struct Filter {
    format: DumpFormat,
    rights: Rights,
    /// In the rows of a `COPY`.
    in_rows: bool,
    /// Before the first statement about anything but the database as a whole.
    in_preamble: bool,
    /// In a statement of several lines that is left out.
    in_dropped: bool,
    /// In a body between these dollar quotes.
    body: Option<Vec<u8>>,
}

impl Filter {
    pub(super) fn new(format: DumpFormat, rights: Rights) -> Self {
        Self {
            format,
            rights,
            in_rows: false,
            in_preamble: true,
            in_dropped: false,
            body: None,
        }
    }

    /// Returns whether the line that was seen last is a row, which may look like anything.
    pub(super) fn is_in_rows(&self) -> bool {
        self.in_rows
    }

    /// Returns whether a line, with its end, is to be loaded.
    pub(super) fn keeps(&mut self, line: &[u8]) -> bool {
        match self.format {
            DumpFormat::PostgresSql => self.keeps_postgres(line.trim_ascii_end()),
            DumpFormat::MysqlSql => self.keeps_mysql(line.trim_ascii_end()),
            _ => true,
        }
    }

    fn keeps_postgres(&mut self, line: &[u8]) -> bool {
        if self.in_rows {
            self.in_rows = line != b"\\.";
            return true;
        }
        let was_body = self.body.is_some();
        self.follow_body(line);
        if was_body {
            return true;
        }
        if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;") {
            self.in_rows = true;
            self.in_preamble = false;
            return true;
        }
        if starts_with_any(line, &["\\restrict ", "\\unrestrict "]) {
            return false;
        }
        if self.in_preamble && is_about_the_database(line) {
            return false;
        }
        let is_setting = starts_with_any(line, &["--", "SET ", "SELECT pg_catalog.set_config("]);
        if !line.is_empty() && !is_setting {
            self.in_preamble = false;
        }
        self.rights == Rights::Kept || !is_about_rights(line)
    }

    /// Follows the bodies of functions, whose lines are nobody else's.
    fn follow_body(&mut self, line: &[u8]) {
        let mut rest = line;
        while let Some(start) = rest.iter().position(|byte| *byte == b'$') {
            let after = &rest[start + 1..];
            let is_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
            let length = after.iter().take_while(|byte| is_tag(byte)).count();
            if after.get(length) != Some(&b'$') {
                rest = after;
                continue;
            }
            let tag = &after[..length];
            match &self.body {
                None => self.body = Some(tag.to_vec()),
                Some(open) if open == tag => self.body = None,
                Some(_) => {
                    rest = &after[length..];
                    continue;
                }
            }
            rest = &after[length + 1..];
        }
    }

    fn keeps_mysql(&mut self, line: &[u8]) -> bool {
        if self.in_dropped {
            self.in_dropped = !line.ends_with(b";");
            return false;
        }
        let leaves = starts_with_any(
            line,
            &[
                // A command of one client only, to distrust what follows; binary mode does that everywhere.
                "/*M!999999\\-",
                "USE `",
                "CREATE DATABASE ",
                "/*!40000 DROP DATABASE ",
                "ALTER DATABASE `",
                "SET @@GLOBAL.GTID_PURGED",
                "CHANGE MASTER TO ",
                "CHANGE REPLICATION SOURCE TO ",
            ],
        );
        if leaves && !line.starts_with(b"/*M!") {
            // `ALTER DATABASE` stands between other delimiters.
            self.in_dropped = !line.ends_with(b";") && !line.starts_with(b"ALTER DATABASE");
        }
        !leaves
    }
}

fn is_about_the_database(line: &[u8]) -> bool {
    let whole = [
        "\\connect ",
        "CREATE DATABASE ",
        "ALTER DATABASE ",
        "DROP DATABASE ",
        "COMMENT ON DATABASE ",
    ];
    let rights = starts_with_any(line, &["GRANT ", "REVOKE "]);
    starts_with_any(line, &whole) || rights && contains(line, b" ON DATABASE ")
}

fn is_about_rights(line: &[u8]) -> bool {
    let is_whole = line.ends_with(b";");
    let owner = line.starts_with(b"ALTER ") && contains(line, b" OWNER TO ");
    let rights = starts_with_any(
        line,
        &[
            "GRANT ",
            "REVOKE ",
            "ALTER DEFAULT PRIVILEGES ",
            "SET SESSION AUTHORIZATION ",
        ],
    );
    is_whole && (owner || rights)
}

fn starts_with_any(line: &[u8], beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| line.starts_with(beginning.as_bytes()))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// Copies the lines of a dump that are to be loaded.
pub(super) fn copy(
    mut lines: Box<dyn BufRead + Send>,
    mut filter: Filter,
    into: &mut dyn Write,
) -> std::io::Result<()> {
    let mut into = std::io::BufWriter::with_capacity(256 << 10, into);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        if filter.keeps(&line) {
            into.write_all(&line)?;
        }
        line.clear();
    }
    into.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(format: DumpFormat, rights: Rights, text: &'static str) -> String {
        let mut out = Vec::new();
        copy(Box::new(text.as_bytes()), Filter::new(format, rights), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_dump_of_postgresql_stays_in_the_database_it_is_loaded_into() {
        let text = "\\restrict abc\n-- head\nSET a = 1;\nDROP DATABASE app;\nCREATE DATABASE app;\n\
                    GRANT ALL ON DATABASE app TO joe;\n\\unrestrict abc\n\\connect app\n\\restrict abc\n\
                    CREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\n\\connect app\nDROP DATABASE app;\n\\.\n\
                    \\unrestrict abc\n";
        assert_eq!(
            loaded(DumpFormat::PostgresSql, Rights::Kept, text),
            "-- head\nSET a = 1;\nCREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\n\\connect app\n\
             DROP DATABASE app;\n\\.\n"
        );
    }

    #[test]
    fn rights_are_left_out_of_what_is_no_body_and_no_row() {
        let text = "CREATE FUNCTION f() AS $_$\nGRANT ALL ON t TO x;\n$_$;\nGRANT ALL ON t TO x;\n\
                    ALTER TABLE t OWNER TO x;\nCOPY t (a) FROM stdin;\nGRANT ALL ON t TO x;\n\\.\n";
        assert_eq!(
            loaded(DumpFormat::PostgresSql, Rights::LeftOut, text),
            "CREATE FUNCTION f() AS $_$\nGRANT ALL ON t TO x;\n$_$;\nCOPY t (a) FROM stdin;\n\
             GRANT ALL ON t TO x;\n\\.\n"
        );
        assert_eq!(loaded(DumpFormat::PostgresSql, Rights::Kept, text), text);
    }

    #[test]
    fn a_dump_of_mysql_stays_in_the_database_it_is_loaded_into() {
        let text = "/*M!999999\\- enable the sandbox mode */ \n-- head\nSET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1,\nb:2';\n\
                    CREATE DATABASE /*!32312 IF NOT EXISTS*/ `app`;\nUSE `app`;\n\
                    ALTER DATABASE `app` CHARACTER SET latin1 ;\nINSERT INTO `t` VALUES (1,'USE `app`;');\n";
        assert_eq!(
            loaded(DumpFormat::MysqlSql, Rights::Kept, text),
            "-- head\nINSERT INTO `t` VALUES (1,'USE `app`;');\n"
        );
    }
}
