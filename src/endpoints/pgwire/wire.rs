//! Messages over one socket, and how a failure is said in them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::codec::{Decoder, Encoder, Framed};

use crate::error::Error;

/// A client that takes nothing for so long is gone, or has never meant to read.
const LONGEST_STALL: Duration = Duration::from_secs(300);

pub(super) type Socket = Framed<Patient, Codec>;

/// What a connection is over: TCP, or TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A transport that waits for its reader, but not for ever.
pub(super) struct Patient {
    transport: Box<dyn Transport>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self { transport, stalled: None }
    }

    /// What a write has come to, unless it has waited for too long.
    fn waited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_STALL)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write(context, bytes);
        self.waited(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(context);
        self.waited(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.transport).poll_shutdown(context);
        self.waited(context, shut)
    }
}

/// What a client may send ahead while it waits for an answer.
const MOST_AHEAD: usize = 1 << 20;

/// Ends when the client has gone: nobody works on for it. What it sends meanwhile is kept, and read in its turn.
pub(super) async fn gone(socket: &mut Socket) {
    let mut bytes = [0; 4096];
    while socket.read_buffer().len() < MOST_AHEAD {
        let count = socket.get_mut().read(&mut bytes).await.unwrap_or(0);
        match bytes.get(..count) {
            Some(sent) if count > 0 => socket.read_buffer_mut().extend_from_slice(sent),
            _ => return,
        }
    }
    std::future::pending().await
}

/// Which messages may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A wish for encryption, or none.
    Encryption,
    /// The start, or a wish to cancel.
    Startup,
    /// What proves a login, and nothing else.
    Login,
    Running,
}

impl Phase {
    /// Bytes of one message, its type left out. Whoever has not logged in yet makes nobody keep much of what they send.
    fn longest(self) -> usize {
        match self {
            Self::Encryption | Self::Startup | Self::Login => 10_000,
            Self::Running => 64 << 20,
        }
    }

    /// Whether messages begin with a byte that says their type.
    fn is_typed(self) -> bool {
        matches!(self, Self::Login | Self::Running)
    }
}

/// Refuses a message by its first bytes, before the rest of it is waited for.
fn check(phase: Phase, bytes: &[u8]) -> Result<(), Fault> {
    let (of_type, length) = match bytes {
        [of_type, length @ ..] if phase.is_typed() => (Some(*of_type), length),
        untyped => (None, untyped),
    };
    if phase == Phase::Login && of_type.is_some_and(|of_type| of_type != b'p') {
        return Err(Fault::fatal("08P01", "nothing is answered before the login"));
    }
    let length = length.first_chunk().map(|length| usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX));
    if length.is_some_and(|length| length > phase.longest()) {
        return Err(Fault::fatal("08P01", format!("a message has {} bytes at most here", phase.longest())));
    }
    Ok(())
}

/// Messages as bytes, by the protocol's version 3.0.
#[derive(Debug)]
pub(super) struct Codec {
    pub phase: Phase,
}

impl Decoder for Codec {
    type Item = PgWireFrontendMessage;
    type Error = Fault;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Self::Item>, Fault> {
        check(self.phase, bytes)?;
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = self.phase == Phase::Encryption;
        context.awaiting_frontend_startup = !self.phase.is_typed();
        PgWireFrontendMessage::decode(bytes, &context).map_err(|error| match error {
            pgwire::error::PgWireError::IoError(error) => Fault::Gone(error),
            error => Fault::fatal("08P01", format!("the message cannot be read: {error}")),
        })
    }
}

impl Encoder<PgWireBackendMessage> for Codec {
    type Error = Fault;

    fn encode(&mut self, message: PgWireBackendMessage, bytes: &mut BytesMut) -> Result<(), Fault> {
        message.encode(bytes).map_err(|error| Fault::Gone(io::Error::other(error)))
    }
}

/// Why a message has not been answered as it asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the client is told.
    Told(Box<Told>),
    /// Nobody is there to be told.
    Gone(io::Error),
}

/// An error as the protocol carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whether the connection ends with it.
    pub is_fatal: bool,
    pub sqlstate: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Fault {
    pub fn error(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::told(false, sqlstate, message.into())
    }

    /// The connection ends with it.
    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::told(true, sqlstate, message.into())
    }

    fn told(is_fatal: bool, sqlstate: &'static str, message: String) -> Self {
        Self::Told(Box::new(Told { is_fatal, sqlstate, message, detail: None, hint: None }))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            told.hint = Some(hint.into());
        }
        self
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        // What the command line says by a flag is said here by a setting.
        let hint = match &error {
            Error::RequirementMissing { flag, .. } => {
                Some(format!("say it with SET wayleave.{} = '…'", flag.trim_start_matches('-')))
            }
            Error::ConsentNotPassedOver { .. } => {
                Some("SET wayleave.beyond_consent = '': what consent allows is released".to_owned())
            }
            Error::TableNotReleased { .. } => {
                Some("SHOW TABLES lists what you may see; another purpose may be the one you mean".to_owned())
            }
            error => error.hint(),
        };
        Self::Told(Box::new(Told {
            is_fatal: false,
            sqlstate: error.sqlstate(),
            message: error.to_string(),
            detail: error.detail(),
            hint,
        }))
    }
}

impl From<Told> for ErrorResponse {
    fn from(told: Told) -> Self {
        let severity = if told.is_fatal { "FATAL" } else { "ERROR" };
        Self::new(fields(severity, told.sqlstate, told.message, told.detail, told.hint))
    }
}

/// Something that the client should know of an answer.
pub(super) fn notice(text: String) -> PgWireBackendMessage {
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields("NOTICE", "00000", text, None, None)))
}

fn fields(
    severity: &str,
    sqlstate: &str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
) -> Vec<(u8, String)> {
    let mut fields =
        vec![(b'S', severity.to_owned()), (b'V', severity.to_owned()), (b'C', sqlstate.to_owned()), (b'M', message)];
    fields.extend(detail.map(|detail| (b'D', detail)));
    fields.extend(hint.map(|hint| (b'H', hint)));
    // A zero byte ends a field.
    fields.iter_mut().for_each(|(_, text)| text.retain(|character| character != '\0'));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(phase: Phase, bytes: &[u8]) -> String {
        match (Codec { phase }).decode(&mut BytesMut::from(bytes)) {
            Err(Fault::Told(told)) if told.is_fatal => told.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn long_messages_are_refused_before_they_have_come() {
        assert!(refused(Phase::Running, &[b'Q', 0x3f, 0, 0, 0]).contains("67108864 bytes at most"));
        assert!(refused(Phase::Running, &[b'Q', 0xff, 0xff, 0xff, 0xff]).contains("at most"));
        assert!(refused(Phase::Login, &[b'p', 0, 1, 0, 0]).contains("10000 bytes at most"));
        assert!(refused(Phase::Encryption, b"GET / HT").contains("at most"));
        let begun = (Codec { phase: Phase::Running }).decode(&mut BytesMut::from(&[b'Q', 0, 0, 1, 0, b'S'][..]));
        assert!(begun.unwrap().is_none());
    }

    #[test]
    fn nothing_but_a_login_is_read_before_the_login() {
        assert!(refused(Phase::Login, &[b'Q', 0, 0, 0, 13]).contains("before the login"));
    }
}
