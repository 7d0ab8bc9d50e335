//! Proving that a password is known, to the two plugins that do without an encrypted connection.

use alloc::vec::Vec;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How long the server's nonce is.
const NONCE: usize = 20;

/// The proof for a plugin; none where the plugin asks for something that this client does not know.
pub fn prove(plugin: &[u8], nonce: &[u8], password: &str) -> Option<Vec<u8>> {
    let nonce = nonce.get(..NONCE)?;
    match plugin {
        b"mysql_native_password" => {
            let hash = Sha1::digest(password);
            let twice = Sha1::digest(hash);
            Some(masked(&hash, &Sha1::digest([nonce, twice.as_slice()].concat())))
        }
        b"caching_sha2_password" => {
            let hash = Sha256::digest(password);
            let twice = Sha256::digest(hash);
            Some(masked(&hash, &Sha256::digest([twice.as_slice(), nonce].concat())))
        }
        _ => None,
    }
}

fn masked(hash: &[u8], mask: &[u8]) -> Vec<u8> {
    hash.iter().zip(mask).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_can_check_a_proof_against_what_it_stores() {
        let nonce = [7; NONCE];
        // The server knows SHA1(SHA1(password)): unmasking gives SHA1(password), whose hash must be that.
        let stored = Sha1::digest(Sha1::digest("secret"));
        let proof = prove(b"mysql_native_password", &nonce, "secret").expect("a proof");
        let unmasked = masked(&proof, &Sha1::digest([&nonce, stored.as_slice()].concat()));
        assert_eq!(Sha1::digest(unmasked), stored);

        let stored = Sha256::digest(Sha256::digest("secret"));
        let proof = prove(b"caching_sha2_password", &nonce, "secret").expect("a proof");
        let unmasked = masked(&proof, &Sha256::digest([stored.as_slice(), &nonce].concat()));
        assert_eq!(Sha256::digest(unmasked), stored);
    }

    #[test]
    fn what_cannot_be_proven_is_none() {
        assert_eq!(prove(b"client_ed25519", &[0; 32], "x"), None);
        assert_eq!(prove(b"mysql_native_password", &[0; 19], "x"), None);
    }
}
