//! One chunk as an object of the store: how it is named, packed and checked.

use std::fmt;
use std::io::Read as _;

use bytes::Bytes;
use futures::TryStreamExt as _;
use walkback_core::{BackupStore, Cx, Error, ErrorKind, Result};

use crate::crypt::{self, Access, Sealing};
use crate::naming::Naming;
use crate::vault::Vault;

/// As fast as it gets, and on rows within a few percent of what slower levels give, either way.
const LEVEL: i32 = 1;

/// How much larger than its content an object can be: rows that do not compress, the frame, and what encryption
/// to many recipients adds.
const OVERHEAD: u64 = 1 << 16;

/// Why a chunk cannot be used.
#[derive(Debug)]
pub(crate) enum Bad {
    /// It is not in the store.
    Missing,
    /// It is there, and its content is wrong in this way.
    Damaged(String),
    /// The store failed; the chunk may be fine.
    Store(Error),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Damaged(why) => write!(f, "is damaged: {why}"),
            Self::Store(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// Compresses a chunk into a zstd frame with checksum and content size, on a thread that may block.
pub(crate) async fn pack(bytes: Bytes) -> Result<Bytes> {
    blocking(move || {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.include_contentsize(true)?;
        compressor.compress(&bytes).map(Bytes::from)
    })
    .await?
    .map_err(|error| Error::new(ErrorKind::Internal, "cannot compress a chunk").with_source(error))
}

/// Encrypts a compressed chunk, on a thread that may block.
pub(crate) async fn seal(packed: Bytes, sealing: &Sealing) -> Result<Bytes> {
    let sealing = sealing.clone();
    blocking(move || crypt::encrypt(&sealing, &packed).map(Bytes::from)).await?
}

/// Hashes a chunk, on a thread that may block.
pub(crate) async fn name(naming: &Naming, bytes: Bytes) -> Result<String> {
    let naming = naming.clone();
    blocking(move || naming.name(&bytes)).await
}

/// Unpacks an object and checks that it is the chunk of this name and size.
async fn unpack(access: &Access, hash: &str, size: u64, object: Bytes) -> Result<Bytes, Bad> {
    let (access, expected) = (access.clone(), hash.to_owned());
    blocking(move || match &access.opener {
        None => unpack_now(&access.naming, &expected, size, &object),
        Some(opener) => {
            let packed = crypt::decrypt(opener, &object).map_err(|closed| closed.to_string())?;
            unpack_now(&access.naming, &expected, size, &packed)
        }
    })
    .await
    .map_err(Bad::Store)?
    .map_err(Bad::Damaged)
}

fn unpack_now(naming: &Naming, expected: &str, size: u64, packed: &[u8]) -> Result<Bytes, String> {
    let decoder = zstd::Decoder::with_buffer(packed).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(8 << 20)).unwrap_or_default());
    // One byte more than expected tells a longer chunk apart without unpacking all of it.
    decoder
        .take(size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("its compressed form is broken ({error})"))?;
    let found = bytes.len() as u64;
    if found != size {
        let more = if found > size { "more than " } else { "" };
        return Err(format!(
            "it holds {more}{} bytes instead of {size}",
            found.min(size)
        ));
    }
    let actual = naming.name(&bytes);
    if actual != expected {
        return Err(format!("its content has the hash `{actual}`"));
    }
    Ok(bytes.into())
}

/// Reads the object of this name, and checks that it is the chunk of this size.
pub(crate) async fn fetch(
    vault: &Vault,
    cx: &Cx,
    access: &Access,
    hash: &str,
    size: u64,
) -> Result<Bytes, Bad> {
    let key = vault.object_key(hash);
    let packed = read_at_most(&*vault.store, cx, &key, size.saturating_add(OVERHEAD))
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Bad::Missing,
            _ => Bad::Store(error),
        })?;
    match packed {
        Some(packed) => unpack(access, hash, size, packed).await,
        None => Err(Bad::Damaged(format!(
            "it is far larger than the {size} bytes it should hold"
        ))),
    }
}

/// Reads a blob whole, unless it is larger than `most` bytes.
pub(crate) async fn read_at_most(
    store: &dyn BackupStore,
    cx: &Cx,
    key: &str,
    most: u64,
) -> Result<Option<Bytes>> {
    let mut stream = store.read(cx, key, None).await?;
    let mut whole = bytes::BytesMut::new();
    while let Some(piece) = stream.try_next().await? {
        whole.extend_from_slice(&piece);
        if whole.len() as u64 > most {
            return Ok(None);
        }
    }
    Ok(Some(whole.freeze()))
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("a worker thread of the vault panicked").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMING: Naming = Naming::Plain(crate::HashKind::Blake3);

    fn hash(bytes: &[u8]) -> String {
        NAMING.name(bytes)
    }

    fn packed(bytes: &[u8]) -> Bytes {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pack(Bytes::copy_from_slice(bytes))).unwrap()
    }

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        for size in [0, 1, 1000, 300_000] {
            let bytes: Vec<u8> = (0..size)
                .map(|n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes()[1])
                .collect();
            let back = unpack_now(&NAMING, &hash(&bytes), bytes.len() as u64, &packed(&bytes)).unwrap();
            assert_eq!(back, bytes);
        }
    }

    #[test]
    fn any_flipped_bit_or_cut_is_seen() {
        let bytes = b"some rows, some rows, some more rows and \0 other bytes".repeat(3);
        let whole = packed(&bytes);
        let (name, size) = (hash(&bytes), bytes.len() as u64);
        for position in 0..whole.len() * 8 {
            let mut bad = whole.to_vec();
            bad[position / 8] ^= 1 << (position % 8);
            let same = unpack_now(&NAMING, &name, size, &bad).is_ok_and(|back| back == bytes);
            let refused = unpack_now(&NAMING, &name, size, &bad).is_err();
            assert!(same || refused);
        }
        for length in 0..whole.len() {
            assert!(
                unpack_now(&NAMING, &name, size, &whole[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
    }

    #[test]
    fn a_chunk_that_unpacks_to_more_than_it_should_is_refused() {
        let bytes = vec![0; 10_000_000];
        let error = unpack_now(&NAMING, &hash(&bytes), 1000, &packed(&bytes)).unwrap_err();
        assert_eq!(error, "it holds more than 1000 bytes instead of 1000");
    }
}
