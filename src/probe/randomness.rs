//! Random numbers for probes: the system's, or those of a seed, which are the same each time.

use std::io;

use sha2::{Digest, Sha256};

/// Where random numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// The system's generator.
    #[default]
    System,
    /// A generator of our own, for a scenario that is recorded or played.
    Seeded(Seeded),
}

/// A hash of the seed and a counter: it need not be fast, and looks like any other randomness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    seed: u64,
    poll: u32,
    next: u64,
}

impl Seeded {
    /// The generator of one poll, counted from 1. Each poll has its own numbers, whatever earlier ones took.
    #[must_use]
    pub const fn of_poll(seed: u64, poll: u32) -> Self {
        Self { seed, poll, next: 0 }
    }

    /// Fills the bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(self.seed.to_le_bytes());
            hash.update(self.poll.to_le_bytes());
            hash.update(self.next.to_le_bytes());
            self.next += 1;
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
    }
}

impl Randomness {
    /// Fills the bytes.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::System => getrandom::fill(bytes).map_err(io::Error::other),
            Self::Seeded(seeded) => {
                seeded.fill(bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mut randomness: Randomness) -> [u8; 100] {
        let mut bytes = [0; 100];
        randomness.fill(&mut bytes).expect("random numbers");
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_numbers_each_time_and_others_to_each_poll() {
        let seeded = |seed, poll| of(Randomness::Seeded(Seeded::of_poll(seed, poll)));
        assert_eq!(seeded(7, 1), seeded(7, 1));
        assert_ne!(seeded(7, 1), seeded(7, 2));
        assert_ne!(seeded(7, 1), seeded(8, 1));
        assert_ne!(of(Randomness::System), of(Randomness::System));
    }

    #[test]
    fn numbers_do_not_repeat_within_a_poll() {
        let mut seeded = Seeded::of_poll(1, 1);
        let (mut first, mut second) = ([0; 40], [0; 40]);
        seeded.fill(&mut first);
        seeded.fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first[..8], first[32..]);
    }
}
