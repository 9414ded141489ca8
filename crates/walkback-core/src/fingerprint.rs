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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// Adds a row, encoded so that different rows have different encodings, and returns the first word of its
    /// hash.
    pub fn add(&mut self, row: &[u8]) -> u64 {
        let hash = words(blake3::hash(row).as_bytes());
        self.add_sum(1, &hash);
        hash[0]
    }

    /// Adds the rows of another fingerprint: of two parts of a table comes that of the whole.
    pub fn merge(&mut self, other: &Self) {
        self.add_sum(other.rows, &other.sum);
    }

    fn add_sum(&mut self, rows: u64, sum: &[u64; 4]) {
        self.rows += rows;
        let mut carry = false;
        for (limb, word) in self.sum.iter_mut().zip(sum) {
            let (partial, first) = limb.overflowing_add(*word);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = first || second;
        }
    }

    /// Returns how many rows were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
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

/// Reads a hash as words, the least first.
fn words(hash: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(hash.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> TableFingerprint {
        let mut fingerprinter = Fingerprinter::new();
        rows.iter().for_each(|row| {
            fingerprinter.add(row.as_bytes());
        });
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

    #[test]
    fn the_parts_of_a_table_add_up_to_the_whole() {
        let (mut first, mut second) = (Fingerprinter::new(), Fingerprinter::new());
        // Enough rows for every limb to overflow.
        let rows: Vec<_> = (0..100).map(|n| format!("row {n}")).collect();
        for (n, row) in rows.iter().enumerate() {
            if n % 3 == 0 { &mut first } else { &mut second }.add(row.as_bytes());
        }
        first.merge(&second);
        assert_eq!(
            first.finish(),
            of(&rows.iter().map(String::as_str).collect::<Vec<_>>())
        );
    }
}
