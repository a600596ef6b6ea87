//! LOGIN7 (MS-TDS 2.2.6.4): who asks, for which database, with what intent.

use crate::convert::utf16_text;
use crate::reader::{Malformed, Reader};

const READ_ONLY_INTENT: u8 = 0x20;
const INTEGRATED_SECURITY: u8 = 0x80;
const EXTENSION: u8 = 0x10;
const FEATURE_END: u8 = 0xff;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub tds_version: u32,
    pub packet_size: u32,
    pub host: String,
    pub user: String,
    pub password: String,
    pub application: String,
    pub database: String,
    pub read_only_intent: bool,
    pub integrated: bool,
    /// Identifiers of the feature extensions that the client offered.
    pub features: Vec<u8>,
}

impl Login {
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let _length = reader.u32()?;
        let tds_version = reader.u32()?;
        let packet_size = reader.u32()?;
        let _program_version = reader.u32()?;
        let _process = reader.u32()?;
        let _connection = reader.u32()?;
        let _flags1 = reader.u8()?;
        let flags2 = reader.u8()?;
        let type_flags = reader.u8()?;
        let flags3 = reader.u8()?;
        let _zone = reader.u32()?;
        let _locale = reader.u32()?;
        let mut field = || -> Result<&[u8], Malformed> {
            let (offset, units) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
            body.get(offset..offset + units * 2).ok_or(Malformed("a LOGIN7 field lies outside"))
        };
        let host = utf16_text(field()?);
        let user = utf16_text(field()?);
        let password = utf16_text(&revealed(field()?));
        let application = utf16_text(field()?);
        let _server = field()?;
        let extension = (reader.u16()?, reader.u16()?);
        let mut field = || -> Result<&[u8], Malformed> {
            let (offset, units) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
            body.get(offset..offset + units * 2).ok_or(Malformed("a LOGIN7 field lies outside"))
        };
        let _library = field()?;
        let _language = field()?;
        let database = utf16_text(field()?);
        let features = if flags3 & EXTENSION == 0 { Vec::new() } else { features(body, usize::from(extension.0))? };
        Ok(Self {
            tds_version,
            packet_size,
            host,
            user,
            password,
            application,
            database,
            read_only_intent: type_flags & READ_ONLY_INTENT != 0,
            integrated: flags2 & INTEGRATED_SECURITY != 0,
            features,
        })
    }
}

/// The password's bytes: nibbles swapped and XORed with 0xA5 on the wire.
fn revealed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| (byte ^ 0xa5).rotate_left(4)).collect()
}

fn features(body: &[u8], pointer: usize) -> Result<Vec<u8>, Malformed> {
    let outside = Malformed("a LOGIN7 extension lies outside");
    let at = body.get(pointer..pointer + 4).ok_or(outside.clone())?;
    let offset = usize::try_from(Reader::new(at).u32()?).map_err(|_| outside.clone())?;
    let mut reader = Reader::new(body.get(offset..).ok_or(outside)?);
    let mut found = Vec::new();
    loop {
        let feature = reader.u8()?;
        if feature == FEATURE_END {
            return Ok(found);
        }
        let length = usize::try_from(reader.u32()?).map_err(|_| Malformed("an extension of an absurd length"))?;
        reader.bytes(length)?;
        found.push(feature);
    }
}
