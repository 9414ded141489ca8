//! The manifest of a point: its parts, the hash over itself, and what a reader refuses.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback_core::bulk::Encoding;
use walkback_core::catalog::Schema;
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::grants::Grant;
use walkback_core::{DialectKind, Error, Result, TableName};

use crate::crypt::{Access, Envelope, Opener};
use crate::error;
use crate::naming::{NameKey, Naming};

/// What the `format` field of every manifest says.
pub const FORMAT: &str = "walkback point";

/// The version of the format this crate writes, and the only one it reads so far.
pub const VERSION: u64 = 1;

/// How objects are compressed.
pub(crate) const COMPRESSION: &str = "zstd";

/// Larger than any manifest that makes sense; a reader of a hostile store stops here.
pub(crate) const LARGEST_MANIFEST: u64 = 1 << 30;

/// How encrypted objects are encrypted, and the name in `requires` that goes with it.
const AGE: &str = "age";

/// The name in `requires` of a point whose chunks are named by SHA-256.
const SHA256: &str = "sha256";

/// Names in `requires` that this version understands.
const UNDERSTOOD: &[&str] = &[AGE, SHA256];

/// What a point was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PointKind {
    /// The rollback point before migrations were applied.
    BeforeUp,
    /// The safety point before a rollback or a restore.
    BeforeRollback,
    /// A backup that a person or a schedule asked for.
    Backup,
    /// The tables that a migration changed rows of, as it left them.
    AfterUp,
    /// Made within a rollback, of tables as it leaves them, where something that was written had no place in them.
    AfterRollback,
    /// Rows that a run changed, and no others: as they were, or as it left them.
    Changes,
}

impl PointKind {
    /// Returns the words used in messages.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::BeforeUp => "point before up",
            Self::BeforeRollback => "safety point before rollback",
            Self::Backup => "backup",
            Self::AfterUp => "point after up",
            Self::AfterRollback => "point after rollback",
            Self::Changes => "changed rows",
        }
    }
}

/// Which database a point is of. Never where it is, and never a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Database {
    /// Product, as its makers spell it.
    pub product: String,
    /// Version, as the server gives it.
    pub version: String,
    /// Name of the database, without host, folder or user.
    pub name: String,
    /// Family of SQL.
    pub dialect: DialectKind,
}

impl Database {
    /// Creates the description of a database.
    pub fn new(
        product: impl Into<String>,
        version: impl Into<String>,
        name: impl Into<String>,
        dialect: DialectKind,
    ) -> Self {
        Self {
            product: product.into(),
            version: version.into(),
            name: name.into(),
            dialect,
        }
    }
}

/// Which migrations were applied when the point was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerState {
    /// Ids of the applied migrations, in the order in which they were applied.
    pub applied: Vec<String>,
    /// Ids of those that no other applied one builds on.
    pub heads: Vec<String>,
}

impl LedgerState {
    /// Creates the state of a ledger.
    #[must_use]
    pub fn new(applied: Vec<String>, heads: Vec<String>) -> Self {
        Self { applied, heads }
    }
}

/// Where the database's own log stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Position {
    /// Which log: `binlog`, `gtid`, `lsn`.
    pub log: String,
    /// The place in it, as the server writes it.
    pub at: String,
}

impl Position {
    /// Creates a place in a log.
    pub fn new(log: impl Into<String>, at: impl Into<String>) -> Self {
        Self {
            log: log.into(),
            at: at.into(),
        }
    }
}

/// How the objects of a point are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Encryption {
    /// Always `age`.
    pub scheme: String,
    /// The public keys of those who can open them, sorted.
    pub recipients: Vec<String>,
    /// Where a passphrase opens the point: the secret key of the one recipient, in an `age` file, as text, that
    /// only the passphrase opens.
    pub key: Option<String>,
}

impl Encryption {
    pub(crate) fn age(recipients: Vec<String>, key: Option<String>) -> Self {
        Self {
            scheme: AGE.to_owned(),
            recipients,
            key,
        }
    }
}

/// One chunk of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkEntry {
    /// The hash of its bytes before compression, in hexadecimal: its name.
    pub hash: String,
    /// How many rows it holds.
    pub rows: u64,
    /// How many bytes they are, before compression.
    pub bytes: u64,
    /// How many bytes the object in the store has.
    pub stored: u64,
}

/// One table of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableEntry {
    /// Its name.
    pub table: TableName,
    /// Its columns, in the order in which the rows have them.
    pub columns: Vec<String>,
    /// The columns the rows are ordered by; may be empty.
    pub order: Vec<String>,
    /// How the rows are encoded inside the chunks; `None` if and only if there is no chunk.
    pub encoding: Option<Encoding>,
    /// How many rows.
    pub rows: u64,
    /// How many bytes, before compression.
    pub bytes: u64,
    /// What the rows add up to, if it was taken.
    pub fingerprint: Option<TableFingerprint>,
    /// The chunks, in order.
    pub chunks: Vec<ChunkEntry>,
}

/// Sums over all tables of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Tables.
    pub tables: u64,
    /// Chunks, counted as often as they are named.
    pub chunks: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes in the store, counted as often as they are named.
    pub stored: u64,
}

impl Totals {
    /// Adds up tables.
    #[must_use]
    pub fn of(tables: &[TableEntry]) -> Self {
        let chunks = || tables.iter().flat_map(|table| &table.chunks);
        // Saturating, because a damaged manifest may hold any number.
        let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::saturating_add);
        Self {
            tables: tables.len() as u64,
            chunks: chunks().count() as u64,
            rows: sum(&mut chunks().map(|chunk| chunk.rows)),
            bytes: sum(&mut chunks().map(|chunk| chunk.bytes)),
            stored: sum(&mut chunks().map(|chunk| chunk.stored)),
        }
    }
}

/// A point, complete: what a database held at one moment, and where the rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// Version of the format.
    pub version: u64,
    /// Names of what a reader must understand beyond its version. A field that is not named here may be
    /// ignored by a reader that does not know it.
    pub requires: Vec<String>,
    /// Its id; also the name of its file.
    pub id: String,
    /// When it was begun, by the clock of the machine that made it.
    pub created_at: DateTime<Utc>,
    /// The program that made it, with its version.
    pub tool: String,
    /// What it was made for.
    pub kind: PointKind,
    /// What a person wrote about it.
    pub description: Option<String>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// The database.
    pub database: Database,
    /// The migrations that were applied.
    pub ledger: LedgerState,
    /// Where the database's own log stood, where it has one.
    pub position: Option<Position>,
    /// Everything that was defined.
    pub schema: Schema,
    /// How objects are named: `blake3` or `sha256`, and with a key `blake3-keyed` or `hmac-sha256`.
    pub hashing: String,
    /// How objects are compressed: `zstd`.
    pub compression: String,
    /// How objects are encrypted; `null` is not at all.
    pub encryption: Option<Encryption>,
    /// The tables whose rows are kept.
    pub tables: Vec<TableEntry>,
    /// Sums over the tables.
    pub totals: Totals,
    /// Rights on the database, where they were asked for and are not in the schema. A reader that does not know
    /// them brings back all the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// Of changed rows as a run left them: the id of the point that holds them as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// BLAKE3 over the rest of the manifest in canonical form, in hexadecimal.
    pub hash: String,
    /// Where it was read, and with what its chunks are.
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// Where a manifest comes from. No part of what it says: two that say the same are equal.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// What reads its chunks.
    pub(crate) access: Access,
    /// The location of its vault; empty if it is not known.
    pub(crate) location: String,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            access: Access {
                naming: Naming::Plain(crate::HashKind::Blake3),
                opener: None,
            },
            location: String::new(),
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

/// A file below `points/`, checked.
#[derive(Debug)]
pub(crate) enum PointFileContent {
    /// A manifest that everybody can read.
    Open(Box<Manifest>),
    /// One that is encrypted.
    Sealed(Box<Envelope>),
}

impl PointFileContent {
    /// Reads the bytes of a file that is called `<id>.json`.
    pub(crate) fn parse(id: &str, bytes: &[u8]) -> Result<Self> {
        let value = checked(id, bytes)?;
        if value.get("sealed").is_none() {
            return Manifest::from_checked(id, value).map(|manifest| Self::Open(Box::new(manifest)));
        }
        let found = value.get("id").and_then(Value::as_str).unwrap_or_default();
        if found != id {
            return Err(error::manifest(id, format_args!("it says it is point `{found}`")));
        }
        let envelope: Envelope = serde_json::from_value(value).map_err(|error| error::manifest(id, error))?;
        match envelope.objects.iter().find(|name| !is_hash(name)) {
            Some(_) => Err(error::manifest(id, "one of its `objects` is no valid hash")),
            None => Ok(Self::Sealed(Box::new(envelope))),
        }
    }

    /// Returns the objects that the point needs.
    pub(crate) fn into_objects(self) -> Vec<String> {
        match self {
            Self::Open(manifest) => manifest.objects().cloned().collect(),
            Self::Sealed(envelope) => envelope.objects.into_iter().collect(),
        }
    }
}

impl Manifest {
    /// Returns the entry of a table. Names are compared as they are, then without regard to case.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableEntry> {
        self.tables.iter().find(|entry| entry.table == *name).or_else(|| {
            self.tables.iter().find(|entry| {
                entry.table.name.eq_ignore_ascii_case(&name.name)
                    && (name.schema.is_none() || entry.table.schema == name.schema)
            })
        })
    }

    /// Returns the names of its chunks, as often as they are named.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &String> {
        self.tables
            .iter()
            .flat_map(|entry| &entry.chunks)
            .map(|chunk| &chunk.hash)
    }

    /// Returns whether its chunks can be read: not if it was written on a machine that only knows public keys.
    pub(crate) fn is_open(&self) -> bool {
        self.encryption.is_none() || self.origin.access.opener.is_some()
    }

    /// Says in it how its chunks are named and encrypted.
    pub(crate) fn describe(&mut self, naming: &Naming, encryption: Option<Encryption>) {
        naming.word().clone_into(&mut self.hashing);
        self.requires = match (&encryption, naming) {
            (Some(_), _) => vec![AGE.to_owned()],
            (None, Naming::Plain(crate::HashKind::Sha256)) => vec![SHA256.to_owned()],
            (None, _) => Vec::new(),
        };
        self.encryption = encryption;
    }

    /// Sets the hash and returns the bytes of the file of a point that is not encrypted.
    pub(crate) fn seal(&mut self) -> Result<Vec<u8>> {
        let broken = |error| Error::internal("a manifest cannot be written as JSON").with_source(error);
        let (bytes, hash) = seal_value(serde_json::to_value(&*self).map_err(broken)?)?;
        self.hash = hash;
        Ok(bytes)
    }

    /// Reads the bytes of a file that is called `<id>.json`, of a point that is not encrypted.
    ///
    /// # Errors
    /// [`Damaged`](walkback_core::ErrorKind::Damaged) if they are not what was written, and
    /// [`Unsupported`](walkback_core::ErrorKind::Unsupported) if a newer version wrote them, or if they are
    /// encrypted.
    pub fn parse(id: &str, bytes: &[u8]) -> Result<Self> {
        match PointFileContent::parse(id, bytes)? {
            PointFileContent::Open(manifest) => Ok(*manifest),
            PointFileContent::Sealed(_) => Err(Error::unsupported(
                format_args!("reading the encrypted point `{id}`"),
                "a reader without a vault",
            )),
        }
    }

    fn from_checked(id: &str, value: Value) -> Result<Self> {
        let mut manifest: Self = serde_json::from_value(value).map_err(|error| error::manifest(id, error))?;
        manifest.check(id)?;
        if manifest.encryption.is_some() {
            return Err(error::manifest(id, "its chunks are encrypted, and it is not"));
        }
        manifest.origin.access.naming = Naming::plain(&manifest.hashing)
            .ok_or_else(|| error::too_new(id, format_args!("the hashing `{}`", manifest.hashing)))?;
        Ok(manifest)
    }

    /// Reads what was inside of an envelope.
    pub(crate) fn from_sealed(id: &str, value: Value, key: &NameKey, opener: &Opener) -> Result<Self> {
        check_value(id, &value)?;
        let mut manifest: Self = serde_json::from_value(value).map_err(|error| error::manifest(id, error))?;
        manifest.check(id)?;
        let naming = Naming::keyed(&manifest.hashing, key)
            .ok_or_else(|| error::too_new(id, format_args!("the hashing `{}`", manifest.hashing)))?;
        manifest.origin.access = Access {
            naming,
            opener: Some(opener.clone()),
        };
        Ok(manifest)
    }

    /// Sees whether its parts agree with each other.
    fn check(&self, id: &str) -> Result<()> {
        if self.id != id {
            return Err(error::manifest(
                id,
                format_args!("it says it is point `{}`", self.id),
            ));
        }
        for entry in &self.tables {
            let of_entry = Totals::of(std::slice::from_ref(entry));
            if (of_entry.rows, of_entry.bytes) != (entry.rows, entry.bytes) {
                let why = format!(
                    "the chunks of table `{}` do not add up to its rows and bytes",
                    entry.table
                );
                return Err(error::manifest(id, why));
            }
            if entry.chunks.iter().any(|chunk| !is_hash(&chunk.hash)) {
                let why = format!("a chunk of table `{}` has no valid hash", entry.table);
                return Err(error::manifest(id, why));
            }
            if entry.encoding.is_none() && !entry.chunks.is_empty() {
                let why = format!("table `{}` does not say how its rows are encoded", entry.table);
                return Err(error::manifest(id, why));
            }
        }
        if self.totals != Totals::of(&self.tables) {
            return Err(error::manifest(id, "its totals are not the sums of its tables"));
        }
        Ok(())
    }
}

/// Reads JSON and checks all that can be checked without a key.
fn checked(id: &str, bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| error::manifest(id, format_args!("it is not JSON ({error})")))?;
    check_value(id, &value)?;
    Ok(value)
}

fn check_value(id: &str, value: &Value) -> Result<()> {
    refuse_other_format(id, value)?;
    let stated = value.get("hash").and_then(Value::as_str).unwrap_or_default();
    if stated != hash_of(value) {
        return Err(error::manifest(id, "its content does not match its hash"));
    }
    refuse_unknown(id, value)
}

/// Sets the field `hash`, and returns the bytes of the file and the hash.
pub(crate) fn seal_value(mut value: Value) -> Result<(Vec<u8>, String)> {
    let hash = hash_of(&value);
    if let Some(field) = value.get_mut("hash") {
        *field = Value::from(hash.as_str());
    }
    let mut bytes = serde_json::to_vec_pretty(&value)
        .map_err(|error| Error::internal("a manifest cannot be written as JSON").with_source(error))?;
    bytes.push(b'\n');
    Ok((bytes, hash))
}

/// Returns whether this is a hash of 32 bytes in lower-case hexadecimal.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The version comes first: a later one may hash itself in another way.
fn refuse_other_format(id: &str, value: &Value) -> Result<()> {
    if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(error::manifest(
            id,
            format_args!("it does not say `\"format\": \"{FORMAT}\"`"),
        ));
    }
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => Ok(()),
        Some(version) => Err(error::too_new(
            id,
            format_args!("version {version} of the vault format"),
        )),
        None => Err(error::manifest(id, "it has no version")),
    }
}

fn refuse_unknown(id: &str, value: &Value) -> Result<()> {
    let requires = value.get("requires").and_then(Value::as_array);
    for name in requires.into_iter().flatten().filter_map(Value::as_str) {
        if !UNDERSTOOD.contains(&name) {
            return Err(error::too_new(id, format_args!("`{name}`")));
        }
    }
    if let Some(encryption) = value.get("encryption").filter(|encryption| !encryption.is_null()) {
        let scheme = encryption.get("scheme").and_then(Value::as_str);
        match scheme {
            Some(AGE) => {}
            Some(other) => return Err(error::too_new(id, format_args!("the encryption `{other}`"))),
            None => return Err(error::too_new(id, "an encryption that it does not name")),
        }
    }
    let hashing: &[&str] = &["blake3", "sha256", "blake3-keyed", "hmac-sha256"];
    for (field, known) in [("compression", &[COMPRESSION][..]), ("hashing", hashing)] {
        match value.get(field).and_then(Value::as_str) {
            Some(name) if known.contains(&name) => {}
            Some(name) => return Err(error::too_new(id, format_args!("the {field} `{name}`"))),
            None => return Err(error::manifest(id, format_args!("it has no `{field}`"))),
        }
    }
    Ok(())
}

/// Returns the hash over a manifest: BLAKE3 of its canonical JSON without the field `hash`.
fn hash_of(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) => {
            let rest = fields.iter().filter(|(name, _)| *name != "hash");
            write_object(rest, &mut text);
        }
        other => write_canonical(other, &mut text),
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Writes JSON without white space, with the fields of every object sorted by the bytes of their names.
fn write_canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => write_object(fields.iter(), into),
        Value::Array(items) => {
            into.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    into.push(',');
                }
                write_canonical(item, into);
            }
            into.push(']');
        }
        leaf => write!(into, "{leaf}").expect("a string takes any text"),
    }
}

fn write_object<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, into: &mut String) {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(name, _)| *name);
    into.push('{');
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            into.push(',');
        }
        write!(into, "{}:", Value::from(name.as_str())).expect("a string takes any text");
        write_canonical(value, into);
    }
    into.push('}');
}
