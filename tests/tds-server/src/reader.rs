//! Bytes of a message, taken from the front; a message that ends too early is an error and no panic.

use crate::convert::utf16_text;

/// The bytes that are left.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// Why a message cannot be read; the connection ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.rest.split_at_checked(length).ok_or(Malformed("the message ends too early"))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed("the message ends too early"))
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Little-endian, of up to eight bytes.
    pub fn unsigned(&mut self, width: usize) -> Result<u64, Malformed> {
        Ok(self.bytes(width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub fn utf16(&mut self, units: usize) -> Result<String, Malformed> {
        Ok(utf16_text(self.bytes(units * 2)?))
    }

    /// A text behind one byte of length.
    pub fn b_varchar(&mut self) -> Result<String, Malformed> {
        let units = usize::from(self.u8()?);
        self.utf16(units)
    }

    /// A text behind two bytes of length.
    pub fn us_varchar(&mut self) -> Result<String, Malformed> {
        let units = usize::from(self.u16()?);
        self.utf16(units)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Skips ALL_HEADERS, which starts requests since TDS 7.2.
    pub fn skip_headers(&mut self) -> Result<(), Malformed> {
        let total = usize::try_from(self.u32()?).map_err(|_| Malformed("headers of an absurd length"))?;
        self.bytes(total.checked_sub(4).ok_or(Malformed("headers of an absurd length"))?)?;
        Ok(())
    }
}
