//! Collations: how strings compare, and the code page of those that are not Unicode.
//!
//! Source: MS-TDS 2.2.5.1.2 (the five bytes on the wire), "Collation and Unicode support" of the SQL Server documentation.
//! All of them pad the shorter side with blanks, the binary ones too.

use std::cmp::Ordering;

use encoding_rs::Encoding;

/// One of [`COLLATIONS`], by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Collation(u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    CaseInsensitive,
    CaseSensitive,
    /// Case, kana and width count.
    AllSensitive,
    /// By code point.
    Binary,
}

struct Definition {
    name: &'static str,
    lcid: u32,
    sort_id: u8,
    code_page: u16,
    comparison: Comparison,
    version: u8,
}

const fn define(
    name: &'static str,
    lcid: u32,
    sort_id: u8,
    code_page: u16,
    comparison: Comparison,
    version: u8,
) -> Definition {
    Definition { name, lcid, sort_id, code_page, comparison, version }
}

const COLLATIONS: &[Definition] = &[
    define("SQL_Latin1_General_CP1_CI_AS", 0x0409, 52, 1252, Comparison::CaseInsensitive, 0),
    define("SQL_Latin1_General_CP1_CS_AS", 0x0409, 51, 1252, Comparison::CaseSensitive, 0),
    define("Latin1_General_CI_AS", 0x0409, 0, 1252, Comparison::CaseInsensitive, 0),
    define("Latin1_General_CS_AS", 0x0409, 0, 1252, Comparison::CaseSensitive, 0),
    define("Latin1_General_BIN", 0x0409, 0, 1252, Comparison::Binary, 0),
    define("Latin1_General_BIN2", 0x0409, 0, 1252, Comparison::Binary, 0),
    define("Latin1_General_100_CI_AS", 0x0409, 0, 1252, Comparison::CaseInsensitive, 2),
    define("Latin1_General_100_CS_AS", 0x0409, 0, 1252, Comparison::CaseSensitive, 2),
    define("Latin1_General_100_BIN2", 0x0409, 0, 1252, Comparison::Binary, 2),
    define("Latin1_General_100_CI_AS_SC", 0x0409, 0, 1252, Comparison::CaseInsensitive, 2),
    define("Latin1_General_100_CS_AS_SC", 0x0409, 0, 1252, Comparison::CaseSensitive, 2),
    define("Latin1_General_100_CS_AS_KS_WS", 0x0409, 0, 1252, Comparison::AllSensitive, 2),
    define("Latin1_General_100_CS_AS_KS_WS_SC", 0x0409, 0, 1252, Comparison::AllSensitive, 2),
    define("Latin1_General_CS_AS_KS_WS", 0x0409, 0, 1252, Comparison::AllSensitive, 0),
    define("Latin1_General_100_CI_AS_SC_UTF8", 0x0409, 0, 65001, Comparison::CaseInsensitive, 2),
    define("Latin1_General_100_BIN2_UTF8", 0x0409, 0, 65001, Comparison::Binary, 2),
    define("Polish_CI_AS", 0x0415, 0, 1250, Comparison::CaseInsensitive, 0),
    define("Cyrillic_General_CI_AS", 0x0419, 0, 1251, Comparison::CaseInsensitive, 0),
    define("Greek_CI_AS", 0x0408, 0, 1253, Comparison::CaseInsensitive, 0),
];

impl Collation {
    /// The server's and every database's: `SQL_Latin1_General_CP1_CI_AS`.
    pub const DEFAULT: Self = Self(0);

    pub fn named(name: &str) -> Option<Self> {
        let position = COLLATIONS.iter().position(|known| known.name.eq_ignore_ascii_case(name))?;
        u8::try_from(position).ok().map(Self)
    }

    pub fn from_code(code: u8) -> Self {
        if usize::from(code) < COLLATIONS.len() { Self(code) } else { Self::DEFAULT }
    }

    pub fn code(self) -> u8 {
        self.0
    }

    fn definition(self) -> &'static Definition {
        COLLATIONS.get(usize::from(self.0)).unwrap_or(&COLLATIONS[0])
    }

    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The name under which SQLite knows it.
    pub fn sqlite_name(self) -> &'static str {
        match self.definition().comparison {
            Comparison::CaseInsensitive => "tds_ci",
            Comparison::CaseSensitive => "tds_cs",
            Comparison::AllSensitive => "tds_all",
            Comparison::Binary => "tds_bin",
        }
    }

    pub fn is_binary(self) -> bool {
        self.definition().comparison == Comparison::Binary
    }

    /// Whether characters beyond U+FFFF count as one (`_SC`), not as the two UTF-16 units that they are.
    pub fn counts_characters(self) -> bool {
        self.name().ends_with("_SC") || self.is_utf8()
    }

    pub fn is_utf8(self) -> bool {
        self.definition().code_page == 65001
    }

    /// LCID, flags and version, sort order: five bytes.
    pub fn wire(self) -> [u8; 5] {
        let definition = self.definition();
        let flags: u32 = match definition.comparison {
            // fIgnoreCase, fIgnoreKana, fIgnoreWidth
            Comparison::CaseInsensitive => 0b0000_1101,
            Comparison::CaseSensitive => 0b0000_1100,
            Comparison::AllSensitive => 0,
            // fBinary2
            Comparison::Binary => 0b0010_0000,
        };
        let utf8 = if self.is_utf8() { 0b0100_0000 } else { 0 };
        let word = definition.lcid | ((flags | utf8) << 20) | (u32::from(definition.version) << 28);
        let bytes = word.to_le_bytes();
        [bytes[0], bytes[1], bytes[2], bytes[3], definition.sort_id]
    }

    fn encoding(self) -> &'static Encoding {
        match self.definition().code_page {
            1250 => encoding_rs::WINDOWS_1250,
            1251 => encoding_rs::WINDOWS_1251,
            1253 => encoding_rs::WINDOWS_1253,
            65001 => encoding_rs::UTF_8,
            _ => encoding_rs::WINDOWS_1252,
        }
    }

    /// The bytes of a text that is not Unicode; what the code page lacks becomes a question mark.
    pub fn encode(self, text: &str) -> Vec<u8> {
        if self.is_utf8() {
            return text.as_bytes().to_vec();
        }
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            if character.is_ascii() {
                bytes.push(character as u8);
                continue;
            }
            let mut buffer = [0; 4];
            let (encoded, _, unmappable) = self.encoding().encode(character.encode_utf8(&mut buffer));
            if unmappable {
                bytes.push(b'?');
            } else {
                bytes.extend_from_slice(&encoded);
            }
        }
        bytes
    }

    pub fn decode(self, bytes: &[u8]) -> String {
        self.encoding().decode_without_bom_handling(bytes).0.into_owned()
    }

    pub fn compare(self, left: &str, right: &str) -> Ordering {
        match self.definition().comparison {
            Comparison::CaseInsensitive => compare_weights(left, right, Sensitivity::Letters),
            Comparison::CaseSensitive => compare_weights(left, right, Sensitivity::Case),
            Comparison::AllSensitive => compare_weights(left, right, Sensitivity::CaseAndWidth),
            Comparison::Binary => compare_units(left, right),
        }
    }
}

/// The collations that SQLite's own SQL names.
pub fn register(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    connection
        .create_collation("tds_ci", |left: &str, right: &str| compare_weights(left, right, Sensitivity::Letters))?;
    connection.create_collation("tds_cs", |left: &str, right: &str| compare_weights(left, right, Sensitivity::Case))?;
    connection.create_collation("tds_all", |left: &str, right: &str| {
        compare_weights(left, right, Sensitivity::CaseAndWidth)
    })?;
    connection.create_collation("tds_bin", compare_units)
}

fn compare_units(left: &str, right: &str) -> Ordering {
    let mut left = left.encode_utf16();
    let mut right = right.encode_utf16();
    loop {
        let (l, r) = (left.next(), right.next());
        if l.is_none() && r.is_none() {
            return Ordering::Equal;
        }
        let order = l.unwrap_or(0x20).cmp(&r.unwrap_or(0x20));
        if order.is_ne() {
            return order;
        }
    }
}

/// Letters first without regard to accents, then the accents, then (where it counts) the case.
fn compare_weights(left: &str, right: &str, sensitivity: Sensitivity) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    if let Some(order) = compare_ascii(left.as_bytes(), right.as_bytes(), sensitivity) {
        return order;
    }
    let left = weights(left);
    let right = weights(right);
    let blank = Weight { primary: primary_of(' '), accent: 0, upper: false, wide: false };
    let length = left.len().max(right.len());
    let at = |weights: &[Weight], position: usize| weights.get(position).copied().unwrap_or(blank);
    let by = |key: fn(Weight) -> u32| {
        (0..length)
            .map(|position| key(at(&left, position)).cmp(&key(at(&right, position))))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let order = by(|weight| weight.primary).then_with(|| by(|weight| weight.accent));
    match sensitivity {
        Sensitivity::Letters => order,
        Sensitivity::Case => order.then_with(|| by(|weight| u32::from(weight.upper))),
        Sensitivity::CaseAndWidth => {
            order.then_with(|| by(|weight| u32::from(weight.upper))).then_with(|| by(|weight| u32::from(weight.wide)))
        }
    }
}

/// As [`compare_weights`], without a copy; `None` where a character is not of ASCII, or has no weight.
fn compare_ascii(left: &[u8], right: &[u8], sensitivity: Sensitivity) -> Option<Ordering> {
    let mut letters = Ordering::Equal;
    let mut case = Ordering::Equal;
    for position in 0..left.len().max(right.len()) {
        let (a, b) = (left.get(position).copied().unwrap_or(b' '), right.get(position).copied().unwrap_or(b' '));
        if !a.is_ascii() || !b.is_ascii() || a == 0 || b == 0 {
            return None;
        }
        if a != b && letters.is_eq() {
            let primary = |byte: u8| primary_of(char::from(byte.to_ascii_lowercase()));
            letters = primary(a).cmp(&primary(b));
            case = case.then(a.is_ascii_uppercase().cmp(&b.is_ascii_uppercase()));
        }
    }
    match sensitivity {
        Sensitivity::Letters => Some(letters),
        Sensitivity::Case | Sensitivity::CaseAndWidth => Some(letters.then(case)),
    }
}

/// What two strings may not differ in to be equal, beside letters and accents.
#[derive(Clone, Copy)]
enum Sensitivity {
    Letters,
    Case,
    CaseAndWidth,
}

#[derive(Clone, Copy)]
struct Weight {
    primary: u32,
    accent: u32,
    upper: bool,
    wide: bool,
}

fn weights(text: &str) -> Vec<Weight> {
    let mut weights = Vec::with_capacity(text.len());
    for character in text.chars() {
        let written = character;
        let character = half_width(written);
        let wide = character != written;
        // Windows' tables give these no weight.
        if matches!(character, '\0' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}') {
            continue;
        }
        let upper = character.is_uppercase();
        let mut push =
            |base: char, accent: u32| weights.push(Weight { primary: primary_of(base), accent, upper, wide });
        match character {
            'ß' => {
                push('s', 0);
                push('s', 0);
            }
            'æ' | 'Æ' => {
                push('a', 0);
                push('e', 0);
            }
            'œ' | 'Œ' => {
                push('o', 0);
                push('e', 0);
            }
            _ => {
                for folded in character.to_lowercase() {
                    let (base, accent) = decompose(folded);
                    push(base, accent);
                }
            }
        }
    }
    weights
}

fn half_width(character: char) -> char {
    match character {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

/// Blanks, then signs, then digits, then letters.
fn primary_of(character: char) -> u32 {
    let class = match character {
        ' ' => 0,
        _ if character.is_numeric() => 2,
        _ if character.is_alphabetic() => 3,
        _ => 1,
    };
    (class << 24) | u32::from(character)
}

/// Lower-case letters of Latin-1 and Latin Extended-A: the letter below, and a number for its accent.
fn decompose(character: char) -> (char, u32) {
    const TABLE: &[(char, &str)] = &[
        ('a', "àáâãäåāăą"),
        ('c', "çćĉċč"),
        ('d', "ď"),
        ('e', "èéêëēĕėęě"),
        ('g', "ĝğġģ"),
        ('h', "ĥ"),
        ('i', "ìíîïĩīĭį"),
        ('j', "ĵ"),
        ('k', "ķ"),
        ('l', "ĺļľ"),
        ('n', "ñńņň"),
        ('o', "òóôõöōŏő"),
        ('r', "ŕŗř"),
        ('s', "śŝşš"),
        ('t', "ţť"),
        ('u', "ùúûüũūŭůűų"),
        ('w', "ŵ"),
        ('y', "ýÿŷ"),
        ('z', "źżž"),
    ];
    if character.is_ascii() {
        return (character, 0);
    }
    TABLE
        .iter()
        .find(|(_, accented)| accented.contains(character))
        .map_or((character, 0), |(base, _)| (*base, u32::from(character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ci(left: &str, right: &str) -> Ordering {
        Collation::DEFAULT.compare(left, right)
    }

    #[test]
    fn case_and_trailing_blanks_do_not_count_but_accents_do() {
        assert_eq!(ci("Smith", "SMITH  "), Ordering::Equal);
        assert_eq!(ci("é", "É"), Ordering::Equal);
        assert_eq!(ci("e", "é"), Ordering::Less);
        assert_eq!(ci("ez", "éa"), Ordering::Greater);
        assert_eq!(ci(" a", "a"), Ordering::Less);
        assert_eq!(ci("straße", "STRASSE"), Ordering::Equal);
        assert_eq!(ci("Ａ", "a"), Ordering::Equal);
        assert_eq!(ci("a\u{1}", "a"), Ordering::Greater);
    }

    #[test]
    fn the_short_way_for_ascii_orders_as_the_long_one() {
        let texts = ["", " ", "a", "A", "ab", "aB", "AB ", "a b", "a-b", "a1", "a_", "1", "12", "z", "Z a"];
        for left in texts {
            for right in texts {
                for sensitivity in [Sensitivity::Letters, Sensitivity::Case] {
                    let long = compare_weights(&format!("é{left}"), &format!("é{right}"), sensitivity);
                    assert_eq!(compare_weights(left, right, sensitivity), long, "`{left}`, `{right}`");
                }
            }
        }
    }

    #[test]
    fn binary_collations_pad_too() {
        let binary = Collation::named("Latin1_General_100_BIN2").unwrap();
        assert_eq!(binary.compare("a", "a  "), Ordering::Equal);
        assert_eq!(binary.compare("a", "A"), Ordering::Greater);
        assert_eq!(binary.compare("a\t", "a"), Ordering::Less);
    }

    #[test]
    fn the_default_collation_has_the_bytes_of_the_specification() {
        assert_eq!(Collation::DEFAULT.wire(), [0x09, 0x04, 0xd0, 0x00, 0x34]);
    }

    #[test]
    fn what_a_code_page_lacks_is_a_question_mark() {
        assert_eq!(Collation::DEFAULT.encode("a€ж"), b"a\x80?");
        let cyrillic = Collation::named("Cyrillic_General_CI_AS").unwrap();
        assert_eq!(cyrillic.decode(&cyrillic.encode("жук")), "жук");
    }
}
