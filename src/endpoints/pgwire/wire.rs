//! Messages over one socket, and how a failure is said in them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
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
        let deadline =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + LONGEST_STALL)));
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

/// Which messages may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A wish for encryption, or none.
    Encryption,
    /// The start, or a wish to cancel.
    Startup,
    Running,
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
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = self.phase == Phase::Encryption;
        context.awaiting_frontend_startup = self.phase != Phase::Running;
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
                Some("RESET wayleave.beyond_consent: what consent allows is released".to_owned())
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
