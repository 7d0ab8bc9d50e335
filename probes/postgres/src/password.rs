//! Proving that a password is known: MD5, and SCRAM-SHA-256 (RFC 5802, RFC 7677).

use alloc::string::String;
use alloc::{borrow::ToOwned, format, vec::Vec};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

/// The client's header without channel binding, and its Base64.
const HEADER: &str = "n,,";
const HEADER_BASE64: &str = "biws";

/// A client nonce. A guest has no random numbers; the protocol asks for one that is not used twice, and the
/// server adds its own random part.
pub fn nonce(names: &[&str], elapsed_ms: u64) -> String {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name);
        hash.update([0]);
    }
    hash.update(elapsed_ms.to_be_bytes());
    Base64::encode_string(hash.finalize().get(..18).unwrap_or_default())
}

/// The answer to a request for an MD5 password, NUL included.
pub fn md5(user: &str, password: &str, salt: [u8; 4]) -> Vec<u8> {
    let inner = hexadecimal(&Md5::digest([password, user].concat()));
    let outer = hexadecimal(&Md5::digest([&inner, salt.as_slice()].concat()));
    [b"md5", outer.as_slice(), b"\0"].concat()
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// A SCRAM-SHA-256 exchange without channel binding.
pub struct Scram {
    nonce: String,
    first: String,
    expected: Option<String>,
}

impl Scram {
    /// The server takes the user from the session's start, so that it is empty here.
    pub fn new(nonce: &str) -> Self {
        Self::of("", nonce)
    }

    fn of(user: &str, nonce: &str) -> Self {
        Self { nonce: nonce.to_owned(), first: format!("n={user},r={nonce}"), expected: None }
    }

    /// SASLInitialResponse.
    pub fn begin(&self) -> Vec<u8> {
        let message = [HEADER, &self.first].concat();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        [b"SCRAM-SHA-256\0", length.as_slice(), message.as_bytes()].concat()
    }

    /// The answer to the server's challenge; none where that is malformed. Passwords are used as they are
    /// written: SASLprep changes only some that are not ASCII.
    pub fn prove(&mut self, challenge: &[u8], password: &str) -> Option<Vec<u8>> {
        let challenge = core::str::from_utf8(challenge).ok()?;
        let mut fields = challenge.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = Base64::decode_vec(fields.next()?.strip_prefix("s=")?).ok()?;
        let rounds = fields.next()?.strip_prefix("i=")?.parse().ok().filter(|rounds| *rounds > 0)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return None;
        }
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, rounds, &mut salted);
        let without_proof = format!("c={HEADER_BASE64},r={nonce}");
        let signed = [&self.first, challenge, &without_proof].join(",");
        let client_key = keyed(&salted, b"Client Key")?;
        let signature = keyed(&Sha256::digest(client_key), signed.as_bytes())?;
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, other)| key ^ other).collect();
        let server_key = keyed(&salted, b"Server Key")?;
        self.expected = Some(format!("v={}", Base64::encode_string(&keyed(&server_key, signed.as_bytes())?)));
        Some(format!("{without_proof},p={}", Base64::encode_string(&proof)).into_bytes())
    }

    /// Whether the server proves that it knows the password too.
    pub fn accepts(&self, outcome: &[u8]) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected.as_bytes() == outcome)
    }
}

/// None cannot happen: HMAC takes keys of any length.
fn keyed(key: &[u8], text: &[u8]) -> Option<[u8; 32]> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).ok()?;
    code.update(text);
    Some(code.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_is_followed() {
        let mut scram = Scram::of("user", "rOprNGfwEbeRWgbNEkqO");
        let begin = scram.begin();
        assert!(begin.ends_with(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        let challenge =
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = scram.prove(challenge, "pencil").expect("a challenge");
        assert_eq!(
            String::from_utf8_lossy(&proof),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(scram.accepts(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.accepts(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8="));
    }

    #[test]
    fn a_malformed_challenge_is_none() {
        for challenge in [
            "",
            "r=mine",
            "r=mine+theirs",
            "r=mine,s=AAAA,i=4096",
            "r=theirs,s=AAAA,i=4096",
            "r=mine+theirs,s=!,i=4096",
            "r=mine+theirs,s=AAAA,i=0",
            "r=mine+theirs,s=AAAA,i=-1",
            "r=mine+theirs,s=AAAA,i=99999999999",
        ] {
            assert_eq!(Scram::new("mine").prove(challenge.as_bytes(), "x"), None, "{challenge}");
        }
        assert_eq!(Scram::new("mine").prove(b"\xff", "x"), None);
        assert!(!Scram::new("mine").accepts(b""));
    }

    #[test]
    fn md5_is_salted_twice() {
        // As libpq sends it: md5(md5("secret" + "app") + 01020304).
        let answer = md5("app", "secret", [1, 2, 3, 4]);
        assert_eq!(String::from_utf8_lossy(&answer), "md5911f527656472583a006e7727877b33e\0");
        assert_eq!(hexadecimal(&Md5::digest("")), b"d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn nonces_differ_from_poll_to_poll() {
        assert_ne!(nonce(&["db"], 1), nonce(&["db"], 2));
        assert_ne!(nonce(&["a", "b"], 1), nonce(&["ab", ""], 1));
    }
}
