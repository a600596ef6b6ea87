//! Pseudonyms of join keys: what goes to an agency in the place of another's subject keys.
//!
//! Both sides make them with one secret, which is drawn anew for each join that runs and forgotten with it: this side of the
//! keys that it found, the receiver's database of its own rows' keys.
//!
//! Source: HMAC-SHA-256 (RFC 2104, FIPS 198-1) over the canonical key as UTF-8.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secret of one join, and what is made with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pseudonymiser([u8; Self::SECRET_BYTES]);

impl Pseudonymiser {
    pub const SECRET_BYTES: usize = 32;

    /// The block of SHA-256, to which HMAC fills a secret up.
    const BLOCK_BYTES: usize = 64;

    /// Over a secret that its caller has drawn at random, for this use alone.
    pub fn new(secret: [u8; Self::SECRET_BYTES]) -> Self {
        Self(secret)
    }

    /// The pseudonym of a canonical key: 64 hexadecimal digits.
    pub fn of(&self, canonical: &str) -> String {
        // HMAC takes keys of any length; without one nothing has a pseudonym that anything could equal.
        Hmac::<Sha256>::new_from_slice(&self.0).map_or_else(
            |_| String::new(),
            |mut mac| {
                mac.update(canonical.as_bytes());
                hexadecimal(mac.finalize().into_bytes().iter().copied())
            },
        )
    }

    /// The secret itself, for a source that has a function of ours.
    pub fn secret(&self) -> &[u8] {
        &self.0
    }

    /// What HMAC puts before the message, as hexadecimal digits: the pseudonym is `sha256(outer || sha256(inner || message))`.
    pub fn inner_pad(&self) -> String {
        self.padded(0x36)
    }

    /// What HMAC puts before the inner digest. See [`Pseudonymiser::inner_pad`].
    pub fn outer_pad(&self) -> String {
        self.padded(0x5c)
    }

    fn padded(&self, pad: u8) -> String {
        let filled = self.0.iter().copied().chain(std::iter::repeat(0)).take(Self::BLOCK_BYTES);
        hexadecimal(filled.map(|byte| byte ^ pad))
    }
}

impl std::fmt::Debug for Pseudonymiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonymiser(hidden)")
    }
}

fn hexadecimal(bytes: impl Iterator<Item = u8>) -> String {
    bytes.fold(String::new(), |mut digits, byte| {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    fn bytes(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn pseudonyms_are_hmac_sha_256() {
        // RFC 4231, test case 1: a key of 20 bytes 0x0b is the same as one filled up with zeros.
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        let wanted = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(Pseudonymiser::new(secret).of("Hi There"), wanted);
    }

    #[test]
    fn the_pads_make_the_same_by_sha_256_alone() {
        let pseudonymiser = Pseudonymiser::new([7; 32]);
        for message in ["", "9434765919", "é 𝄞"] {
            let mut inner = bytes(&pseudonymiser.inner_pad());
            inner.extend_from_slice(message.as_bytes());
            let mut outer = bytes(&pseudonymiser.outer_pad());
            outer.extend_from_slice(&sha2::Sha256::digest(inner));
            let digest = hexadecimal(sha2::Sha256::digest(outer).iter().copied());
            assert_eq!(digest, pseudonymiser.of(message), "{message}");
        }
        assert_ne!(pseudonymiser.of("9434765919"), Pseudonymiser::new([8; 32]).of("9434765919"));
        assert_eq!(format!("{pseudonymiser:?}"), "Pseudonymiser(hidden)");
    }
}
