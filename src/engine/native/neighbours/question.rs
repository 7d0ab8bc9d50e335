//! Questions to a resolver, and its answers, as far as names of sidecars need them.

use std::net::Ipv4Addr;

/// The length of a message's header.
const HEADER: usize = 12;
/// The longest label, and the longest name.
const LABEL: usize = 63;
const NAME: usize = 253;
/// The bit of an answer, and the one of a question that is copied to it.
const ANSWER: u8 = 0x80;
const RECURSION_DESIRED: u8 = 1;
const RECURSION_AVAILABLE: u8 = 0x80;
/// Kinds of records, and the class of the internet.
const A: u16 = 1;
const ANY: u16 = 255;
const INTERNET: u16 = 1;

/// What somebody asks.
#[derive(Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The question's own number.
    number: [u8; 2],
    flags: u8,
    /// As it was asked, which an answer repeats.
    asked: &'a [u8],
    /// The name, without a dot at its end.
    pub name: String,
    kind: u16,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is such a name, with this address.
    Address(Ipv4Addr),
    /// There is no such name.
    Unknown,
    /// It cannot be told.
    Failed,
}

impl<'a> Question<'a> {
    /// What this message asks; `None` if it is no question of one name.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let header = message.get(..HEADER)?;
        let [one, two, flags, _, 0, 1, ..] = header else { return None };
        // Only questions, and of the usual kind.
        if flags & !RECURSION_DESIRED != 0 {
            return None;
        }
        let (mut labels, mut at) = (Vec::new(), HEADER);
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // Whoever asks writes names out.
            let label = message.get(at..at + length).filter(|_| length <= LABEL)?;
            labels.push(std::str::from_utf8(label).ok()?);
            at += length;
        }
        let asked = message.get(HEADER..at + 4)?;
        let [.., kind_high, kind_low, class_high, class_low] = asked else { return None };
        let class = u16::from_be_bytes([*class_high, *class_low]);
        let name = labels.join(".");
        (class == INTERNET && name.len() <= NAME).then_some(Self {
            number: [*one, *two],
            flags: *flags,
            asked,
            name,
            kind: u16::from_be_bytes([*kind_high, *kind_low]),
        })
    }

    /// The message that answers it.
    pub fn answer(&self, answer: Answer) -> Vec<u8> {
        let address = match answer {
            Answer::Address(address) if [A, ANY].contains(&self.kind) => Some(address),
            _ => None,
        };
        let code = match answer {
            Answer::Address(_) => 0,
            Answer::Failed => 2,
            Answer::Unknown => 3,
        };
        let mut message = self.number.to_vec();
        message.extend([ANSWER | self.flags, RECURSION_AVAILABLE | code]);
        message.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
        message.extend(self.asked);
        if let Some(address) = address {
            // The name is the one at the message's 12th byte; the answer is not to be kept.
            message.extend([0xc0, 12]);
            message.extend([A, INTERNET].map(u16::to_be_bytes).concat());
            message.extend([0; 4]);
            message.extend([0, 4]);
            message.extend(address.octets());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, kind: u8) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).expect("short"));
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, kind, 0, 1]);
        message
    }

    #[test]
    fn questions_are_answered_with_their_own_name_and_number() {
        let message = asked("Db.test", 1);
        let question = Question::parse(&message).expect("a question");
        assert_eq!(question.name, "Db.test");
        let answer = question.answer(Answer::Address(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(answer.get(..12), Some(&[7, 9, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..]));
        assert_eq!(answer.get(12..message.len()), message.get(12..));
        let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 1, 2, 3];
        assert_eq!(answer.get(message.len()..), Some(&record[..]));
        for (answer, code) in [(Answer::Unknown, 0x83), (Answer::Failed, 0x82)] {
            assert_eq!(question.answer(answer).get(3), Some(&code));
        }
        // A name without an address of this kind is there all the same.
        let message = asked("db", 28);
        let question = Question::parse(&message).expect("a question");
        let answer = question.answer(Answer::Address(Ipv4Addr::LOCALHOST));
        assert_eq!((answer.get(3), answer.get(7), answer.len()), (Some(&0x80), Some(&0), message.len()));
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let whole = asked("db.test", 1);
        for length in 0..whole.len() {
            assert_eq!(Question::parse(whole.get(..length).expect("a part")), None, "{length}");
        }
        for (at, byte) in [(2, 0x81), (5, 2), (12, 0xc0), (12, 64), (13, 0xff), (whole.len() - 1, 3)] {
            let mut message = whole.clone();
            *message.get_mut(at).expect("a byte") = byte;
            assert_eq!(Question::parse(&message), None, "{at} {byte}");
        }
    }
}
