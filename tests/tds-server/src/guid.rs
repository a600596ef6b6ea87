//! uniqueidentifier: its bytes on the wire, as they are kept, and as text.

use crate::convert::hexadecimal;

/// Order in which SQL Server compares the bytes of a uniqueidentifier, by their position on the wire.
const GUID_ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 6, 7, 4, 5, 0, 1, 2, 3];

/// From the wire's order of bytes to the one that is kept.
pub fn guid_stored(wire: &[u8]) -> Vec<u8> {
    GUID_ORDER.iter().map(|position| wire.get(*position).copied().unwrap_or(0)).collect()
}

/// From the kept order to the wire's.
pub fn guid_wire(stored: &[u8]) -> [u8; 16] {
    let mut wire = [0; 16];
    for (byte, position) in stored.iter().zip(GUID_ORDER) {
        wire[position] = *byte;
    }
    wire
}

pub fn guid_text(stored: &[u8]) -> String {
    let b = guid_wire(stored);
    format!(
        "{:08X}-{:04X}-{:04X}-{}-{}",
        u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        u16::from_le_bytes([b[4], b[5]]),
        u16::from_le_bytes([b[6], b[7]]),
        hexadecimal(&b[8..10]),
        hexadecimal(&b[10..])
    )
}
