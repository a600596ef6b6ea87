//! Texts that nobody would want in a database.

use super::random::Random;

/// Texts as a careless century leaves them behind.
const FIXED: [&str; 108] = [
    "9434765919",
    "943 476 5919",
    "943-476-5919",
    "943 476-5919",
    "9434765919\n",
    "\n9434765919",
    "943 476 5919\n",
    " 9434765919",
    "9434765919 ",
    "943  476 5919",
    "９４３４７６５９１９",
    "٩٤٣٤٧٦٥٩١٩",
    "9434765918",
    "0000000000",
    "000 000 0000",
    "000-000-0000",
    "94347659",
    "94347659190",
    "943\u{a0}476\u{a0}5919",
    "943\t476\t5919",
    "943–476–5919",
    "9434765919\0",
    "943476591X",
    "",
    " ",
    "  ",
    "-",
    "--",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "\\",
    "\\'",
    "\\n",
    "{}",
    "{a,b}",
    "$1",
    "?",
    ":a",
    "@a",
    "NULL",
    "null",
    "%",
    "_",
    "%%",
    "*",
    "a%b",
    "a_b",
    "a\\b",
    "a%",
    "[a-z]",
    "^",
    "É",
    "é",
    "e\u{301}",
    "E",
    "e",
    "ß",
    "SS",
    "ss",
    "I",
    "ı",
    "i",
    "İ",
    "ΣΑΣ",
    "ｆｕｌｌ",
    "full",
    "a",
    "A",
    "a ",
    "a\t",
    "ab",
    "AB",
    "Ab",
    "a-b",
    "a b",
    "b",
    "Z",
    "z",
    "10",
    "9",
    "🦀🦀🦀",
    "🦀",
    "\u{10ffff}\u{10ffff}",
    "\u{feff}a",
    "\r\n",
    "a\0b",
    "TQ1 2AB",
    "tq12ab",
    " W1A 1AA ",
    "W1",
    "EC1A1BB",
    "TQ12AB\n",
    "abcde fgh",
    "2024-02-29",
    "2023-02-29",
    "1900-02-29",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "2024-13-01",
    "2024-1-1",
    "2024-01-01T10:00:00Z",
    "2024-01-01 23:59",
    "2024-01-01 24:00",
    "now",
];

/// The fixed ones, and as many again made from them by small changes, keys with a right check digit among them.
pub fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = FIXED.iter().map(|text| (*text).to_owned()).collect();
    let mut random = Random(0x00c0_ffee);
    for _ in 0..700 {
        let mut text: Vec<char> = FIXED[random.below(FIXED.len())].chars().collect();
        for _ in 0..=random.below(2) {
            let new = ['0', '1', '9', ' ', '-', 'A', '\n', 'é', '2'][random.below(9)];
            let place = random.below(text.len() + 1);
            match random.below(3) {
                0 => text.insert(place, new),
                1 if place < text.len() => text[place] = new,
                _ if place < text.len() => {
                    text.remove(place);
                }
                _ => {}
            }
        }
        texts.push(text.into_iter().collect());
    }
    for _ in 0..250 {
        let digits: Vec<usize> = (0..9).map(|_| random.below(10)).collect();
        let sum: usize = digits.iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
        let check = (11 - sum % 11) % 11;
        let plain: String = digits.iter().map(ToString::to_string).collect::<String>() + &check.to_string();
        if plain.len() == 10 {
            texts.push([&plain[..3], &plain[3..6], &plain[6..]].join(["", " ", "-"][random.below(3)]));
        }
    }
    texts
}
