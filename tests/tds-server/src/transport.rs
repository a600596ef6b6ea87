//! The byte stream below the packets: plain, or TLS whose handshake travels inside PRELOGIN packets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::packet::{self, HEADER_LENGTH};

/// A socket that wraps what is written in PRELOGIN packets, and unwraps what is read, until the handshake is over.
#[derive(Debug)]
pub struct HandshakeStream {
    socket: TcpStream,
    phase: Phase,
    header: Vec<u8>,
    /// Bytes of the packet that are still to be read.
    left: usize,
    outgoing: Vec<u8>,
    /// What of `outgoing` is framed already and on its way.
    framed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Open,
}

impl HandshakeStream {
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, phase: Phase::Handshake, header: Vec::new(), left: 0, outgoing: Vec::new(), framed: 0 }
    }

    /// From here on the records of TLS stand alone.
    pub fn open(&mut self) {
        self.phase = Phase::Open;
    }

    pub fn into_socket(self) -> TcpStream {
        self.socket
    }
}

impl AsyncRead for HandshakeStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.phase == Phase::Open {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        while this.left == 0 {
            let mut bytes = [0u8; HEADER_LENGTH];
            let missing = HEADER_LENGTH - this.header.len();
            let mut header = ReadBuf::new(bytes.get_mut(..missing).unwrap_or_default());
            match Pin::new(&mut this.socket).poll_read(cx, &mut header) {
                Poll::Ready(Ok(())) if header.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.header.extend_from_slice(header.filled()),
                other => return other,
            }
            if let [kind, _, high, low, _, _, _, _] = *this.header.as_slice() {
                if kind != packet::PRELOGIN {
                    return Poll::Ready(Err(io::Error::other("the handshake is not in PRELOGIN packets")));
                }
                this.left = usize::from(u16::from_be_bytes([high, low])).saturating_sub(HEADER_LENGTH);
                this.header.clear();
            }
        }
        let room = this.left.min(buffer.remaining());
        let mut part = buffer.take(room);
        let outcome = Pin::new(&mut this.socket).poll_read(cx, &mut part);
        let read = part.filled().len();
        if let Poll::Ready(Ok(())) = outcome {
            this.left -= read;
            let filled = part.filled().to_vec();
            buffer.put_slice(&filled);
        }
        outcome
    }
}

impl AsyncWrite for HandshakeStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.phase {
            Phase::Open => Pin::new(&mut self.socket).poll_write(cx, bytes),
            Phase::Handshake => {
                // A flight is several records and one packet: it goes out on flush.
                self.outgoing.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.framed == 0 && !this.outgoing.is_empty() {
            let mut packets = Vec::new();
            let count = this.outgoing.chunks(4088).count();
            for (position, part) in this.outgoing.chunks(4088).enumerate() {
                let status = u8::from(position + 1 == count);
                packets.extend(packet::framed(packet::PRELOGIN, status, 0, 0, part)?);
            }
            this.framed = packets.len();
            this.outgoing = packets;
        }
        while this.framed > 0 {
            match Pin::new(&mut this.socket).poll_write(cx, &this.outgoing) {
                Poll::Ready(Ok(written)) => {
                    this.outgoing.drain(..written);
                    this.framed -= written;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A connection as it is after the login.
#[derive(Debug)]
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<HandshakeStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
