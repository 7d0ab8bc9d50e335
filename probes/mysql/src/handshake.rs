//! The handshake, from the server's greeting to its last word.

use alloc::vec::Vec;

use farrier_probe::stream::{Failure, Upgrade};
use farrier_probe::{Verdict, tls};

use crate::Settings;
use crate::packet::{self, Packet, Rest};
use crate::password;
use crate::refusal::Refusal;

/// What this client can: long passwords, protocol 4.1 with its authentication, and plugins for that.
const LONG_PASSWORD: u32 = 0x1;
const PROTOCOL_41: u32 = 0x200;
const SSL: u32 = 0x800;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x8_0000;
const LONGEST_PACKET: u32 = 1 << 24;
/// utf8, in every version.
const CHARACTER_SET: u8 = 33;
/// More packets than any handshake has.
const MOST_PACKETS: usize = 8;

/// How a handshake ends.
pub enum Shaken {
    /// The user is in.
    Session,
    /// There is nothing more to ask.
    Over(Verdict),
}

/// What the server says first.
#[derive(Debug, PartialEq)]
struct Greeting<'a> {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads a handshake of version 10, after its first byte.
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(body);
        let version = rest.text();
        if version.is_empty() {
            return None;
        }
        let _thread: [u8; 4] = rest.array()?;
        let mut nonce = rest.bytes(8)?.to_vec();
        let _filler: [u8; 1] = rest.array()?;
        let [low, high] = rest.array()?;
        let mut greeting = Self { capabilities: u32::from_le_bytes([low, high, 0, 0]), nonce, plugin: b"" };
        // Servers before 4.1 end here.
        let Some([_character_set, _status, _, third, fourth, length]) = rest.array() else {
            return Some(greeting);
        };
        greeting.capabilities = u32::from_le_bytes([low, high, third, fourth]);
        let _reserved: [u8; 10] = rest.array()?;
        nonce = rest.bytes(usize::from(length).saturating_sub(8).max(13).min(rest.0.len()))?.to_vec();
        greeting.nonce.extend_from_slice(nonce.strip_suffix(b"\0").unwrap_or(&nonce));
        if greeting.capabilities & PLUGIN_AUTH != 0 {
            greeting.plugin = rest.text();
        }
        Some(greeting)
    }

    /// The plugin that the login is meant for.
    fn plugin(&self) -> &[u8] {
        if self.plugin.is_empty() { b"mysql_native_password" } else { self.plugin }
    }

    /// How each answer to it begins; before TLS, that is all of it.
    fn beginning(&self, tls: tls::Setting) -> Vec<u8> {
        let named = self.capabilities & PLUGIN_AUTH;
        let ssl = if tls == tls::Setting::Off { 0 } else { SSL };
        let own = LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | named | ssl;
        let mut beginning = own.to_le_bytes().to_vec();
        beginning.extend_from_slice(&LONGEST_PACKET.to_le_bytes());
        beginning.push(CHARACTER_SET);
        beginning.extend_from_slice(&[0; 23]);
        beginning
    }

    /// The answer to it, with this proof of a password.
    fn response(&self, user: &str, proof: &[u8], tls: tls::Setting) -> Vec<u8> {
        let named = self.capabilities & PLUGIN_AUTH;
        let mut response = self.beginning(tls);
        response.extend_from_slice(user.as_bytes());
        response.push(0);
        response.push(u8::try_from(proof.len()).unwrap_or_default());
        response.extend_from_slice(proof);
        if named != 0 {
            response.extend_from_slice(self.plugin());
            response.push(0);
        }
        response
    }
}

/// Completes a handshake with a server of this name, whatever the server makes of the login.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn shake(server: &mut impl Upgrade, settings: &Settings, name: &str) -> Result<Shaken, Failure> {
    let Packet { mut sequence, body, .. } = packet::receive(server)?;
    let greeting = match body.split_first() {
        Some((0xff, error)) => return refused(&body, error, settings, false),
        Some((10, greeting)) => Greeting::parse(greeting),
        Some((9, _)) => {
            return Ok(Shaken::Over(Verdict::failed(
                "the server speaks version 9 of the protocol, from before MySQL 3.21",
            )));
        }
        _ => None,
    };
    let Some(greeting) = greeting else { return Err(Failure::Foreign(body)) };
    if greeting.capabilities & PROTOCOL_41 == 0 {
        return Ok(Shaken::Over(Verdict::failed("the server speaks a protocol from before MySQL 4.1")));
    }
    if settings.tls != tls::Setting::Off {
        if greeting.capabilities & SSL == 0 {
            return Ok(Shaken::Over(Verdict::failed(
                "the port does not speak TLS: the server has no certificate (`ssl_cert`, `ssl_key`); give it one, or remove \
                 `tls` from the settings",
            )));
        }
        sequence = sequence.wrapping_add(1);
        packet::send(server, sequence, &greeting.beginning(settings.tls))?;
        if let Err(failure) = server.secure(name) {
            return Ok(Shaken::Over(failure.verdict()));
        }
    }
    let prove = |plugin: &[u8], nonce: &[u8]| {
        settings.password.as_ref().map_or(Some(Vec::new()), |text| password::prove(plugin, nonce, text))
    };
    let proof = prove(greeting.plugin(), &greeting.nonce);
    let mut proven = proof.is_some();
    let response = greeting.response(settings.user(), &proof.unwrap_or_default(), settings.tls);
    packet::send(server, sequence.wrapping_add(1), &response)?;

    for _ in 0..MOST_PACKETS {
        let Packet { sequence, body, .. } = packet::receive(server)?;
        let answer = match body.split_first() {
            Some((0x00, _)) => return Ok(Shaken::Session),
            Some((0xff, error)) => return refused(&body, error, settings, proven),
            // Another plugin, and a nonce of its own.
            Some((0xfe, switch)) => {
                let mut switch = Rest(switch);
                let plugin = switch.text();
                let proof = prove(plugin, switch.0);
                proven = proof.is_some();
                proof.unwrap_or_default()
            }
            // caching_sha2_password: the proof was found right (3), or the server has not the password at hand
            // and wants it encrypted (4), which it is inside TLS. Whoever has not proven who they are does not get it. A
            // wrong one ends the handshake, which breaking off would not.
            Some((0x01, [3])) => continue,
            Some((0x01, [4])) if settings.tls == tls::Setting::Verified => {
                [settings.password.as_deref().unwrap_or_default().as_bytes(), b"\0"].concat()
            }
            Some((0x01, _)) => {
                proven = false;
                alloc::vec![0]
            }
            _ => return Err(Failure::Foreign(body)),
        };
        packet::send(server, sequence.wrapping_add(1), &answer)?;
    }
    Ok(Shaken::Over(Verdict::pending("the handshake does not end")))
}

fn refused(body: &[u8], error: &[u8], settings: &Settings, proven: bool) -> Result<Shaken, Failure> {
    match Refusal::parse(error) {
        Some(refusal) => Ok(Shaken::Over(refusal.verdict(settings, proven))),
        None => Err(Failure::Foreign(body.to_vec())),
    }
}
