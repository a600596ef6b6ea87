//! PRELOGIN (MS-TDS 2.2.6.5): versions, and whether the connection is encrypted.

use crate::options::Encryption;
use crate::reader::{Malformed, Reader};

const VERSION: u8 = 0x00;
const ENCRYPTION: u8 = 0x01;
const INSTANCE: u8 = 0x02;
const THREAD_ID: u8 = 0x03;
const MARS: u8 = 0x04;
const FED_AUTH_REQUIRED: u8 = 0x06;
const TERMINATOR: u8 = 0xff;

const ENCRYPT_OFF: u8 = 0x00;
const ENCRYPT_ON: u8 = 0x01;
const ENCRYPT_NOT_SUPPORTED: u8 = 0x02;
const ENCRYPT_REQUIRED: u8 = 0x03;

/// What part of the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    Nothing,
    LoginOnly,
    Everything,
}

/// The client's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPrelogin {
    encryption: u8,
    asks_fed_auth: bool,
}

impl ClientPrelogin {
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let mut encryption = ENCRYPT_NOT_SUPPORTED;
        let mut asks_fed_auth = false;
        loop {
            let option = reader.u8()?;
            if option == TERMINATOR {
                return Ok(Self { encryption, asks_fed_auth });
            }
            let offset = usize::from(u16::from_be(reader.u16()?));
            let length = usize::from(u16::from_be(reader.u16()?));
            let value = body.get(offset..offset + length).ok_or(Malformed("a PRELOGIN option lies outside"))?;
            match (option, value) {
                (ENCRYPTION, [wish, ..]) => encryption = wish & 0x0f,
                (FED_AUTH_REQUIRED, [wish, ..]) => asks_fed_auth = *wish != 0,
                _ => {}
            }
        }
    }

    /// What the two agree on, by the table of MS-TDS 2.2.6.5; `None`: the connection ends.
    pub fn agree(self, server: Encryption) -> Option<(u8, Agreed)> {
        match (server, self.encryption) {
            (Encryption::NotSupported, ENCRYPT_ON) | (Encryption::NotSupported, ENCRYPT_REQUIRED) => {
                Some((ENCRYPT_NOT_SUPPORTED, Agreed::Nothing))
            }
            (Encryption::NotSupported, _) => Some((ENCRYPT_NOT_SUPPORTED, Agreed::Nothing)),
            (Encryption::LoginOnly, ENCRYPT_OFF) => Some((ENCRYPT_OFF, Agreed::LoginOnly)),
            (Encryption::LoginOnly, ENCRYPT_NOT_SUPPORTED) => Some((ENCRYPT_NOT_SUPPORTED, Agreed::Nothing)),
            (Encryption::LoginOnly, _) => Some((ENCRYPT_ON, Agreed::Everything)),
            (Encryption::Required, ENCRYPT_NOT_SUPPORTED) => None,
            (Encryption::Required, ENCRYPT_OFF) => Some((ENCRYPT_REQUIRED, Agreed::Everything)),
            (Encryption::Required, _) => Some((ENCRYPT_ON, Agreed::Everything)),
        }
    }

    /// The server's answer.
    pub fn answer(self, version: [u8; 4], encryption: u8) -> Vec<u8> {
        let mut version = version.to_vec();
        version.extend_from_slice(&[0, 0]);
        let mut options: Vec<(u8, Vec<u8>)> = vec![
            (VERSION, version),
            (ENCRYPTION, vec![encryption]),
            (INSTANCE, vec![0]),
            (THREAD_ID, Vec::new()),
            (MARS, vec![0]),
        ];
        if self.asks_fed_auth {
            options.push((FED_AUTH_REQUIRED, vec![0]));
        }
        let mut offset = options.len() * 5 + 1;
        let mut head = Vec::new();
        let mut tail = Vec::new();
        for (option, value) in options {
            head.push(option);
            head.extend_from_slice(&(offset as u16).to_be_bytes());
            head.extend_from_slice(&(value.len() as u16).to_be_bytes());
            offset += value.len();
            tail.extend_from_slice(&value);
        }
        head.push(TERMINATOR);
        head.extend(tail);
        head
    }
}
