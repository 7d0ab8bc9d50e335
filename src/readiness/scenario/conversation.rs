//! What happens over one connection of a scenario: the probe's side is compared, the sidecar's side is played.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::differences::{Differences, shown};
use crate::definition::scenario::{MOST_BYTES, Pattern, Step, TlsFailure};
use crate::probe::tls::Failure;
use crate::system::clock;

/// The course of one connection. Clones share it.
#[derive(Clone)]
pub struct Conversation(Arc<Mutex<Course>>);

struct Course {
    /// What it is called in a report.
    name: String,
    steps: VecDeque<Step>,
    /// What the probe sent, and no step has taken yet.
    received: Vec<u8>,
    /// What a step sent, and the probe has not read yet.
    unread: VecDeque<u8>,
    /// Since when the first step has been the first.
    since: Instant,
    /// Whether the probe has sent something else than expected. What follows has no meaning.
    is_off: bool,
    differences: Differences,
}

impl Conversation {
    /// A connection that was just made.
    pub fn new(name: String, steps: &[Step], differences: Differences) -> Self {
        Self(Arc::new(Mutex::new(Course {
            name,
            steps: steps.iter().cloned().collect(),
            received: Vec::new(),
            unread: VecDeque::new(),
            since: clock::now(),
            is_off: false,
            differences,
        })))
    }

    /// The probe's end of it.
    pub fn stream(&self) -> PlayedStream {
        PlayedStream { conversation: self.clone(), pause: None }
    }

    /// Reports, when the poll is over, what the probe left out.
    pub fn end(&self) {
        let course = self.course();
        if course.is_off {
            return;
        }
        if let Some(Step::Expects(pattern)) =
            course.steps.iter().find(|step| matches!(step, Step::Expects(_)))
        {
            let sent = match course.received.as_slice() {
                [] => "nothing more".to_owned(),
                bytes => shown(bytes),
            };
            course.differ(&format!("expected the probe to send {}, but it sent {sent}", expected(pattern)));
        } else if !course.received.is_empty() {
            let sent = shown(&course.received);
            course.differ(&format!("the probe sent {sent}, which the scenario does not expect"));
        }
    }

    /// Until when the sidecar is silent before it goes on; `None` if it goes on at once.
    pub fn pause(&self) -> Option<Instant> {
        let mut course = self.course();
        let at = match course.steps.front() {
            Some(Step::Waits(pause)) => course.since + *pause,
            _ => return None,
        };
        course.steps.pop_front();
        course.since = at;
        Some(at)
    }

    /// The probe begins TLS; what follows is inside it. `None` if the handshake never ends.
    pub fn shake_hands(
        &self,
        server_name: &str,
        offered: &[String],
    ) -> Option<Result<Option<String>, Failure>> {
        let mut course = self.course();
        let not_tls = || Failure::NotTls("the port does not speak TLS".to_owned());
        if !course.received.is_empty() || !course.unread.is_empty() {
            return Some(Err(not_tls()));
        }
        match course.steps.front().cloned() {
            Some(Step::ShakesHands { server_name: name, protocols, protocol }) => {
                course.pop();
                if let Some(name) = name.filter(|name| name != server_name) {
                    course.differ(&format!(
                        "expected TLS for the name `{name}`, but the probe asked for `{server_name}`"
                    ));
                }
                if let Some(protocols) = protocols.filter(|protocols| protocols != offered) {
                    let [wanted, found] = [&protocols[..], offered].map(|names| names.join(", "));
                    course.differ(&format!(
                        "expected the protocols `{wanted}`, but the probe offered `{found}`"
                    ));
                }
                Some(Ok(protocol))
            }
            Some(Step::FailsTls(failure, reason)) => {
                course.pop();
                Some(Err(failed(failure, reason)))
            }
            Some(Step::Breaks) | None => Some(Err(Failure::Closed)),
            // The caller has waited already.
            Some(Step::Stalls | Step::Waits(_)) => None,
            Some(Step::Expects(_) | Step::Sends(_)) => Some(Err(not_tls())),
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(failure: TlsFailure, reason: String) -> Failure {
    match failure {
        TlsFailure::NotTls => Failure::NotTls(reason),
        TlsFailure::Untrusted => Failure::Untrusted(reason),
        TlsFailure::Expired => Failure::Expired(reason),
        TlsFailure::WrongName => Failure::WrongName(reason),
        TlsFailure::Handshake => Failure::Handshake(reason),
        TlsFailure::Closed => Failure::Closed,
        TlsFailure::Other => Failure::Other(reason),
    }
}

fn expected(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Bytes(bytes) => shown(bytes),
        Pattern::Any(count) => format!("{count} bytes"),
    }
}

impl Course {
    fn differ(&self, what: &str) {
        self.differences.add(format!("{}: {what}", self.name));
    }

    fn pop(&mut self) {
        self.steps.pop_front();
        self.since = clock::now();
    }

    /// Takes in what the probe sends.
    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_off {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.received.extend_from_slice(bytes);
        while let Some(Step::Expects(pattern)) = self.steps.front() {
            let length = match pattern {
                Pattern::Any(count) => *count as usize,
                Pattern::Bytes(wanted) => {
                    let both = wanted.len().min(self.received.len());
                    if wanted[..both] != self.received[..both] {
                        let what = format!(
                            "expected {}, but the probe sent {}",
                            shown(wanted),
                            shown(&self.received)
                        );
                        self.differ(&what);
                        self.is_off = true;
                        return Err(io::Error::other(
                            "the probe sent something else than the scenario expects",
                        ));
                    }
                    wanted.len()
                }
            };
            if self.received.len() < length {
                break;
            }
            self.received.drain(..length);
            self.pop();
        }
        if self.received.len() as u64 > MOST_BYTES {
            self.differ("the probe sent more than any scenario expects");
            self.is_off = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

/// The probe's end of a connection.
pub struct PlayedStream {
    pub conversation: Conversation,
    pause: Option<Pin<Box<Sleep>>>,
}

impl PlayedStream {
    fn wait_until(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
        ready!(pause.as_mut().poll(context));
        self.pause = None;
        Poll::Ready(())
    }
}

impl AsyncRead for PlayedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let conversation = self.conversation.clone();
        loop {
            let mut course = conversation.course();
            if course.is_off {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if !course.unread.is_empty() {
                let count = buffer.remaining().min(course.unread.len());
                let bytes: Vec<u8> = course.unread.drain(..count).collect();
                buffer.put_slice(&bytes);
                return Poll::Ready(Ok(()));
            }
            match course.steps.front() {
                None => return Poll::Ready(Ok(())),
                Some(Step::Sends(bytes)) => {
                    course.unread = bytes.iter().copied().collect();
                    course.pop();
                }
                Some(Step::Breaks) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Some(Step::Waits(pause)) => {
                    let at = course.since + *pause;
                    drop(course);
                    ready!(self.wait_until(at, context));
                    let mut course = conversation.course();
                    course.steps.pop_front();
                    course.since = at;
                }
                // A server that waits for TLS closes what is none, and says nothing before it.
                Some(Step::ShakesHands { .. } | Step::FailsTls(..)) if !course.received.is_empty() => {
                    return Poll::Ready(Ok(()));
                }
                // Nothing comes until the probe goes on, and it waits for this: its own limit ends it.
                Some(Step::Stalls | Step::Expects(_) | Step::ShakesHands { .. } | Step::FailsTls(..)) => {
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for PlayedStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.conversation.course().receive(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
