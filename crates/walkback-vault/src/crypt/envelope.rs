//! The manifest of an encrypted point: what everybody may know outside, all the rest inside.

use std::collections::BTreeSet;
use std::io::Read as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback_core::{Error, Result};

use super::{Opener, Sealing, cipher};
use crate::manifest::{COMPRESSION, Encryption, FORMAT, LARGEST_MANIFEST, Manifest, VERSION, seal_value};
use crate::naming::NameKey;
use crate::{PointKind, error};

/// The file of an encrypted point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Envelope {
    format: String,
    version: u64,
    requires: Vec<String>,
    id: String,
    pub(crate) created_at: DateTime<Utc>,
    tool: String,
    pub(crate) kind: PointKind,
    hashing: String,
    compression: String,
    pub(crate) encryption: Encryption,
    /// The objects the point needs, so that garbage can be collected without a key.
    pub(crate) objects: BTreeSet<String>,
    /// The manifest and the key of the names: JSON, compressed, encrypted, as text.
    sealed: String,
    hash: String,
}

/// What is inside.
#[derive(Deserialize)]
struct Contents {
    naming_key: String,
    manifest: Value,
}

impl Envelope {
    /// Puts a manifest that has its hash into an envelope, and returns the bytes of the file.
    pub(crate) fn seal(manifest: &Manifest, sealing: &Sealing) -> Result<Vec<u8>> {
        let broken = |error| Error::internal("a manifest cannot be written as JSON").with_source(error);
        let contents = serde_json::json!({
            "naming_key": sealing.name_key.to_hex(),
            "manifest": serde_json::to_value(manifest).map_err(broken)?,
        });
        let text = serde_json::to_vec(&contents).map_err(broken)?;
        let packed = zstd::bulk::compress(&text, 3)
            .map_err(|error| Error::internal("cannot compress a manifest").with_source(error))?;
        let envelope = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            requires: manifest.requires.clone(),
            id: manifest.id.clone(),
            created_at: manifest.created_at,
            tool: manifest.tool.clone(),
            kind: manifest.kind,
            hashing: manifest.hashing.clone(),
            compression: COMPRESSION.to_owned(),
            encryption: sealing.encryption.clone(),
            objects: manifest.objects().cloned().collect(),
            sealed: cipher::armored(&cipher::encrypt(sealing, &packed)?)?,
            hash: String::new(),
        };
        seal_value(serde_json::to_value(&envelope).map_err(broken)?).map(|(bytes, _)| bytes)
    }

    /// Takes the manifest out.
    pub(crate) fn open(&self, id: &str, opener: &Opener) -> Result<Manifest> {
        let damaged = |why: &dyn std::fmt::Display| error::manifest(id, why);
        let sealed = cipher::unarmored(&self.sealed).map_err(|error| damaged(&error))?;
        let packed = cipher::decrypt(opener, &sealed).map_err(|closed| damaged(&closed))?;
        let mut text = Vec::new();
        zstd::Decoder::with_buffer(packed.as_slice())
            .and_then(|decoder| decoder.take(LARGEST_MANIFEST).read_to_end(&mut text))
            .map_err(|error| damaged(&error))?;
        let contents: Contents = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
        let key =
            NameKey::from_hex(&contents.naming_key).ok_or_else(|| damaged(&"its `naming_key` is not one"))?;
        let manifest = Manifest::from_sealed(id, contents.manifest, &key, opener)?;
        if manifest.objects().collect::<BTreeSet<_>>() != self.objects.iter().collect() {
            return Err(damaged(&"its `objects` are not those that it names inside"));
        }
        Ok(manifest)
    }
}
