//! Packets and the messages they make up (MS-TDS 2.2.3).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub const SQL_BATCH: u8 = 0x01;
pub const RPC: u8 = 0x03;
pub const RESPONSE: u8 = 0x04;
pub const ATTENTION: u8 = 0x06;
pub const TRANSACTION_MANAGER: u8 = 0x0e;
pub const LOGIN7: u8 = 0x10;
pub const PRELOGIN: u8 = 0x12;

pub const HEADER_LENGTH: usize = 8;
const END_OF_MESSAGE: u8 = 0x01;
/// The client gave up the message half-way: it is to be thrown away.
const IGNORE: u8 = 0x02;
const RESET_CONNECTION: u8 = 0x08;
const RESET_CONNECTION_SKIP_TRANSACTION: u8 = 0x10;
/// A request that is longer than this is a mistake of its writer.
const GREATEST_MESSAGE: usize = 256 << 20;

/// A whole message of a client.
#[derive(Debug)]
pub struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
    /// The packet header asked for `sp_reset_connection` first.
    pub resets: bool,
}

/// Reads packets up to the end of a message; `None` where the client has closed the connection between two messages.
pub async fn read_message<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Message>> {
    let mut body = Vec::new();
    let mut resets = false;
    loop {
        let mut header = [0u8; HEADER_LENGTH];
        if stream.read(&mut header[..1]).await? == 0 {
            return if body.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        stream.read_exact(&mut header[1..]).await?;
        let [kind, status, high, low, ..] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(payload) = length.checked_sub(HEADER_LENGTH) else {
            return Err(io::Error::other("a packet is shorter than its header"));
        };
        if body.len() + payload > GREATEST_MESSAGE {
            return Err(io::Error::other("a message without end"));
        }
        let start = body.len();
        body.resize(start + payload, 0);
        stream.read_exact(body.get_mut(start..).unwrap_or_default()).await?;
        resets |= status & (RESET_CONNECTION | RESET_CONNECTION_SKIP_TRANSACTION) != 0;
        if status & END_OF_MESSAGE != 0 {
            if status & IGNORE != 0 {
                body.clear();
                resets = false;
                continue;
            }
            return Ok(Some(Message { kind, body, resets }));
        }
    }
}

/// How a response is cut into packets and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Bytes of a packet behind its header; at most what was negotiated.
    pub payload: usize,
    /// Bytes of one write to the socket: packets need not arrive whole.
    pub write: Option<usize>,
}

/// Cuts the bytes of a response into packets as they come.
#[derive(Debug)]
pub struct PacketWriter {
    pending: Vec<u8>,
    packet_id: u8,
    session_id: u16,
}

impl PacketWriter {
    pub fn new(session_id: u16) -> Self {
        Self { pending: Vec::new(), packet_id: 0, session_id }
    }

    /// Adds bytes and sends the packets that are full; the last one waits for the end of the message.
    pub async fn push<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, bytes: &[u8], split: Split) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        let payload = split.payload.max(1);
        let mut sent = 0;
        while self.pending.len() - sent > payload {
            let part = self.pending.get(sent..sent + payload).unwrap_or_default().to_vec();
            self.send(stream, &part, 0, split).await?;
            sent += payload;
        }
        self.pending.drain(..sent);
        Ok(())
    }

    /// Ends the message with what is left.
    pub async fn finish<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, split: Split) -> io::Result<()> {
        let part = std::mem::take(&mut self.pending);
        self.send(stream, &part, END_OF_MESSAGE, split).await?;
        self.packet_id = 0;
        stream.flush().await
    }

    /// Sends what is left as a packet that is not the last.
    pub async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, split: Split) -> io::Result<()> {
        if !self.pending.is_empty() {
            let part = std::mem::take(&mut self.pending);
            self.send(stream, &part, 0, split).await?;
        }
        stream.flush().await
    }

    async fn send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        part: &[u8],
        status: u8,
        split: Split,
    ) -> io::Result<()> {
        self.packet_id = self.packet_id.wrapping_add(1);
        let packet = framed(RESPONSE, status, self.session_id, self.packet_id, part)?;
        match split.write {
            None => stream.write_all(&packet).await,
            Some(size) => {
                for piece in packet.chunks(size.max(1)) {
                    stream.write_all(piece).await?;
                    stream.flush().await?;
                }
                Ok(())
            }
        }
    }
}

/// One packet with its header.
pub fn framed(kind: u8, status: u8, session_id: u16, packet_id: u8, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length =
        u16::try_from(payload.len() + HEADER_LENGTH).map_err(|_| io::Error::other("a packet that is too long"))?;
    let mut packet = vec![kind, status];
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&session_id.to_be_bytes());
    packet.extend_from_slice(&[packet_id, 0]);
    packet.extend_from_slice(payload);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_survives_any_split() {
        let body: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for payload in [1, 7, 999, 1000, 1001] {
            let mut sent = Vec::new();
            let split = Split { payload, write: None };
            let mut writer = PacketWriter::new(51);
            for piece in body.chunks(13) {
                writer.push(&mut sent, piece, split).await.unwrap();
            }
            writer.finish(&mut sent, split).await.unwrap();
            let mut stream = sent.as_slice();
            let message = read_message(&mut stream).await.unwrap().unwrap();
            assert_eq!((message.kind, message.body.as_slice()), (RESPONSE, body.as_slice()));
            assert!(read_message(&mut stream).await.unwrap().is_none());
        }
    }
}
