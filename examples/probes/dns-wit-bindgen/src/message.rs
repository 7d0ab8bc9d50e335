//! As much of DNS messages as one question needs (RFC 1035, 4.1).

/// The question's number, by which its answer is known.
const ID: [u8; 2] = *b"fr";
/// Recursion is desired; one question, and nothing else.
const HEADER: [u8; 10] = [0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
/// An address (A), of the class IN.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];
/// The longest label of a name, in bytes.
const LONGEST_LABEL: usize = 63;

/// What an answer says.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The server knows the name, with or without an address.
    Known,
    /// The server is sure that the name does not exist.
    Unknown,
    ServerFailure,
    Refused,
    Other(u8),
    /// No answer to the question.
    Foreign,
}

/// Asks for the address of a name.
pub fn question(name: &str) -> Vec<u8> {
    let mut bytes = [&ID[..], &HEADER].concat();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(LONGEST_LABEL)];
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes.extend_from_slice(&ADDRESS);
    bytes
}

/// Reads what an answer's header says.
pub fn parse(bytes: &[u8]) -> Answer {
    let is_answer = bytes.get(..2) == Some(&ID) && bytes.get(2).is_some_and(|flags| flags & 0x80 != 0);
    match bytes.get(3).filter(|_| is_answer).map(|flags| flags & 0x0f) {
        Some(0) => Answer::Known,
        Some(2) => Answer::ServerFailure,
        Some(3) => Answer::Unknown,
        Some(5) => Answer::Refused,
        Some(code) => Answer::Other(code),
        None => Answer::Foreign,
    }
}
