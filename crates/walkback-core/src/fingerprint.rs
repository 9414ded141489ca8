//! Hashes that tell whether two tables hold the same rows, in whatever order.

use serde::{Deserialize, Serialize};

/// What identifies the rows of a table: how many, and the sum of their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFingerprint {
    /// How many rows.
    pub rows: u64,
    /// Sum of the rows' hashes modulo 2^256, in hexadecimal. Equal rows in another order give an equal sum;
    /// a sum and not an exclusive or, so that two equal rows do not cancel each other out.
    pub hash: String,
}

/// Builds a fingerprint row by row.
#[derive(Debug, Clone, Default)]
pub struct Fingerprinter {
    rows: u64,
    sum: [u64; 4],
}

impl Fingerprinter {
    /// Creates the fingerprint of no rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row, encoded so that different rows have different encodings.
    pub fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        let hash = blake3::hash(row);
        let mut carry = false;
        for (limb, bytes) in self.sum.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let word = bytes
                .iter()
                .rev()
                .fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
            let (partial, first) = limb.overflowing_add(word);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = first || second;
        }
    }

    /// Returns the fingerprint.
    #[must_use]
    pub fn finish(&self) -> TableFingerprint {
        let hash = self
            .sum
            .iter()
            .map(|limb| hex::encode(limb.to_le_bytes()))
            .collect();
        TableFingerprint {
            rows: self.rows,
            hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> TableFingerprint {
        let mut fingerprinter = Fingerprinter::new();
        rows.iter().for_each(|row| fingerprinter.add(row.as_bytes()));
        fingerprinter.finish()
    }

    #[test]
    fn order_does_not_matter_and_multiplicity_does() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["a", "a"]).hash, of(&["b", "b"]).hash);
        assert_ne!(of(&["a", "a"]), of(&["a"]));
        assert_ne!(of(&[]).hash, of(&["a", "a"]).hash);
    }
}
