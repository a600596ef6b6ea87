//! Subject keys: the schemes by which agencies name a person, and the forms in which they write them.
//!
//! In: a written key (`'943 476 5919'`). Out: its canonical form (`9434765919`), or nothing where it is no key at all:
//! an invalid key joins with nobody. The same rules stand as SQL in each dialect; tests hold the two against each other.

/// A numbering scheme for persons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Ten digits, the last a modulus 11 check digit (NHS Data Dictionary, "NHS NUMBER").
    NhsNumber,
    /// Any non-empty text, compared as it is: an agency's own reference with no check digit.
    Opaque,
}

impl Scheme {
    /// Every scheme with the name that configuration gives it.
    pub const NAMES: [(&'static str, Self); 2] = [("nhs-number", Self::NhsNumber), ("opaque", Self::Opaque)];

    pub fn name(self) -> &'static str {
        match self {
            Self::NhsNumber => "nhs-number",
            Self::Opaque => "opaque",
        }
    }

    /// Whether a text is a key of this scheme in canonical form.
    pub fn is_canonical(self, key: &str) -> bool {
        match self {
            Self::NhsNumber => key.len() == 10 && key.bytes().all(|b| b.is_ascii_digit()) && modulus_11_holds(key),
            Self::Opaque => !key.is_empty(),
        }
    }
}

/// How an agency writes a key of ten digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// `9434765919`
    Compact,
    /// `943 476 5919`
    Spaced,
    /// `943-476-5919`
    Hyphenated,
    /// Any of the three, row by row.
    Mixed,
}

impl Form {
    /// Every form with the name that configuration gives it.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("compact", Self::Compact),
        ("spaced", Self::Spaced),
        ("hyphenated", Self::Hyphenated),
        ("mixed", Self::Mixed),
    ];

    /// The single forms that this one stands for.
    pub fn single_forms(self) -> &'static [Self] {
        match self {
            Self::Compact => &[Self::Compact],
            Self::Spaced => &[Self::Spaced],
            Self::Hyphenated => &[Self::Hyphenated],
            Self::Mixed => &[Self::Compact, Self::Spaced, Self::Hyphenated],
        }
    }

    /// What stands between the groups of 3, 3 and 4 digits; `None` for [`Form::Mixed`].
    pub fn separator(self) -> Option<&'static str> {
        match self {
            Self::Compact => Some(""),
            Self::Spaced => Some(" "),
            Self::Hyphenated => Some("-"),
            Self::Mixed => None,
        }
    }
}

/// How one column holds subject keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyFormat {
    pub scheme: Scheme,
    pub form: Form,
    /// The agency vouches that every value is valid and in the form, so that it need not be checked again per row.
    pub assured: bool,
}

impl KeyFormat {
    /// The canonical form of a written key, or `None` where it is not a key in the declared form.
    pub fn canonical(self, written: &str) -> Option<String> {
        match self.scheme {
            Scheme::Opaque => (self.assured || !written.is_empty()).then(|| written.to_owned()),
            Scheme::NhsNumber if self.assured => Some(match self.form {
                Form::Compact => written.to_owned(),
                Form::Spaced => written.replace(' ', ""),
                Form::Hyphenated => written.replace('-', ""),
                Form::Mixed => written.replace([' ', '-'], ""),
            }),
            Scheme::NhsNumber => self.form.single_forms().iter().find_map(|form| {
                let digits = ungroup(written, form.separator()?)?;
                self.scheme.is_canonical(&digits).then_some(digits)
            }),
        }
    }

    /// Every way in which this column may write a canonical key; empty where `canonical` is no key of the scheme.
    /// An assured column is trusted for the check digit as well, so any ten digits may stand in it.
    pub fn written(self, canonical: &str) -> Vec<String> {
        let ten_digits = canonical.len() == 10 && canonical.bytes().all(|b| b.is_ascii_digit());
        match self.scheme {
            Scheme::Opaque if self.assured || !canonical.is_empty() => vec![canonical.to_owned()],
            Scheme::NhsNumber if self.assured && self.form == Form::Compact => vec![canonical.to_owned()],
            Scheme::NhsNumber if self.scheme.is_canonical(canonical) || (self.assured && ten_digits) => self
                .form
                .single_forms()
                .iter()
                .filter_map(|form| {
                    let separator = form.separator()?;
                    Some([canonical.get(..3)?, canonical.get(3..6)?, canonical.get(6..)?].join(separator))
                })
                .collect(),
            Scheme::Opaque | Scheme::NhsNumber => Vec::new(),
        }
    }

    /// Whether two columns in these formats write the same person the same way, in one way only.
    pub fn writes_like(self, other: Self) -> bool {
        self.scheme == other.scheme
            && (self.scheme == Scheme::Opaque || (self.form == other.form && self.form != Form::Mixed))
    }
}

/// The ten digits of a key written as 3-3-4 groups around `separator`, or `None` where it is not so written.
fn ungroup(written: &str, separator: &str) -> Option<String> {
    let gap = separator.len();
    let expected = 10 + 2 * gap;
    if written.len() != expected || !written.is_ascii() {
        return None;
    }
    let first = written.get(..3)?;
    let second = written.get(3 + gap..6 + gap)?;
    let third = written.get(6 + 2 * gap..)?;
    let gaps_hold = written.get(3..3 + gap)? == separator && written.get(6 + gap..6 + 2 * gap)? == separator;
    let digits = [first, second, third].concat();
    (gaps_hold && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// The modulus 11 rule: digits weighted 10 down to 1 add up to a multiple of 11. The check digit has weight 1, and a
/// check digit of ten, which the scheme never issues, cannot satisfy it.
fn modulus_11_holds(digits: &str) -> bool {
    let weighted: u32 =
        digits.bytes().zip((1..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    weighted.is_multiple_of(11)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(form: Form) -> KeyFormat {
        KeyFormat { scheme: Scheme::NhsNumber, form, assured: false }
    }

    #[test]
    fn a_valid_key_is_canonical_from_each_form() {
        assert_eq!(format(Form::Compact).canonical("9434765919").as_deref(), Some("9434765919"));
        assert_eq!(format(Form::Spaced).canonical("943 476 5919").as_deref(), Some("9434765919"));
        assert_eq!(format(Form::Hyphenated).canonical("943-476-5919").as_deref(), Some("9434765919"));
        for written in ["9434765919", "943 476 5919", "943-476-5919"] {
            assert_eq!(format(Form::Mixed).canonical(written).as_deref(), Some("9434765919"));
        }
    }

    #[test]
    fn what_is_not_in_the_declared_form_is_no_key() {
        assert_eq!(format(Form::Spaced).canonical("9434765919"), None);
        assert_eq!(format(Form::Compact).canonical("943 476 5919"), None);
        assert_eq!(format(Form::Mixed).canonical("943 4765919"), None);
        assert_eq!(format(Form::Mixed).canonical(" 9434765919"), None);
        assert_eq!(format(Form::Mixed).canonical("９434765919"), None);
        assert_eq!(format(Form::Mixed).canonical(""), None);
    }

    #[test]
    fn a_wrong_check_digit_is_no_key() {
        assert_eq!(format(Form::Compact).canonical("9434765918"), None);
        assert_eq!(format(Form::Mixed).written("9434765918"), Vec::<String>::new());
    }

    #[test]
    fn written_forms_are_the_inverse_of_canonical() {
        assert_eq!(format(Form::Mixed).written("9434765919"), ["9434765919", "943 476 5919", "943-476-5919"]);
        for (_, form) in Form::NAMES {
            for written in format(form).written("9434765919") {
                assert_eq!(format(form).canonical(&written).as_deref(), Some("9434765919"));
            }
        }
    }
}
