//! The kinds of value that a database may hold, and for each the values that go wrong where something does.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::Value;

use super::texts;

/// What a column of the suite holds. A database declares it in its own way, or says that it has no such type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal { precision: u8, scale: i8 },
    Text(Order),
    Binary,
    Date,
    Time,
    Timestamp,
    TimestampZoned,
}

/// How a column of texts compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Byte by byte.
    Bytes,
    /// In the order of a language, where only equal texts are equal.
    Language,
    /// Texts that differ (by case, accents, blanks at the end) may be equal.
    Loose,
}

/// Digits that a database of 64-bit floats still holds, those of a sum of integers, and more than 128 bits have.
pub const MONEY: Kind = Kind::Decimal { precision: 10, scale: 2 };
pub const LONG: Kind = Kind::Decimal { precision: 38, scale: 10 };
pub const VERY_LONG: Kind = Kind::Decimal { precision: 50, scale: 5 };

impl Kind {
    pub const ALL: [Self; 17] = [
        Self::Boolean,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        MONEY,
        LONG,
        VERY_LONG,
        Self::Text(Order::Bytes),
        Self::Text(Order::Language),
        Self::Text(Order::Loose),
        Self::Binary,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::TimestampZoned,
    ];

    /// As the matrix and lists of exceptions write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            MONEY => "decimal(10,2)",
            LONG => "decimal(38,10)",
            Self::Decimal { .. } => "decimal(50,5)",
            Self::Text(Order::Bytes) => "text by bytes",
            Self::Text(Order::Language) => "text by language",
            Self::Text(Order::Loose) => "text, loose",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampZoned => "timestamp with zone",
        }
    }

    /// A name that any database takes for a table.
    pub fn table(self) -> String {
        let name: String = self.name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("kind_{name}")
    }

    /// The type in which its values arrive where nothing else is declared.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } if precision <= 38 => DataType::Decimal128(precision, scale),
            Self::Decimal { precision, scale } => DataType::Decimal256(precision, scale),
            Self::Text(_) => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampZoned => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// Its values at the ends and at the places where databases differ, without NULL.
    pub fn values(self) -> Vec<Value> {
        // 0001-01-01, 0999-12-31, the day before the epoch, 2000-02-29, 2020-12-31 (of ISO week 53), 2024-02-29, 9999-12-31
        const DAYS: [i32; 8] = [-719_162, -354_286, -1, 0, 11_016, 18_627, 19_782, 2_932_896];
        const DAY: i64 = 86_400_000_000;
        // The clocks of the United Kingdom went back at 01:00 UTC on that day.
        const CLOCKS_BACK: i64 = 1_729_990_800_000_000;
        let moment = |zoned| {
            let days = DAYS.map(|days| i64::from(days) * DAY);
            let ends = [-1, DAYS.map(i64::from)[0] * DAY, i64::from(DAYS[7]) * DAY + DAY - 1];
            let clocks = [CLOCKS_BACK - 1_800_000_000, CLOCKS_BACK + 1_800_000_000, CLOCKS_BACK + 5_400_123_456];
            days.into_iter()
                .chain(ends)
                .chain(clocks)
                .map(move |microseconds| Value::Timestamp { microseconds, zoned })
                .collect::<Vec<_>>()
        };
        match self {
            Self::Boolean => vec![Value::Boolean(false), Value::Boolean(true)],
            Self::Int16 => [i16::MIN, -7, -1, 0, 1, 3, i16::MAX].map(Value::Int16).to_vec(),
            Self::Int32 => [i32::MIN, -7, -1, 0, 1, 3, 1_000_000, i32::MAX].map(Value::Int32).to_vec(),
            Self::Int64 => [i64::MIN, i64::MIN + 1, -365, -1, 0, 1, 9, i64::MAX].map(Value::Int64).to_vec(),
            Self::Float32 => {
                [f32::MIN, -1.5, -0.0, 0.0, f32::MIN_POSITIVE, 0.1, 3.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]
                    .map(Value::Float32)
                    .to_vec()
            }
            Self::Float64 => [
                f64::MIN,
                -1.5,
                -0.0,
                0.0,
                5e-324,
                0.1,
                1e22,
                9_007_199_254_740_993.0,
                f64::MAX,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
            ]
            .map(Value::Float64)
            .to_vec(),
            Self::Decimal { precision, scale } if precision <= 38 => {
                let most = 10_i128.pow(u32::from(precision)) - 1;
                let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
                [-most, -5 * one / 2, -1, 0, 1, one, 3 * one, most]
                    .map(|unscaled| Value::Decimal128 { unscaled, precision, scale })
                    .to_vec()
            }
            Self::Decimal { precision, scale } => {
                let number = |text: String| arrow::datatypes::i256::from_string(&text).unwrap();
                let most = "9".repeat(usize::from(precision));
                [format!("-{most}"), "-1".to_owned(), "0".to_owned(), "12345".to_owned(), most]
                    .map(|text| Value::Decimal256 { unscaled: number(text), precision, scale })
                    .to_vec()
            }
            Self::Text(_) => texts::nasty().into_iter().map(Value::Text).collect(),
            Self::Binary => [vec![], vec![0], vec![0, 255, 39], b"a".to_vec(), b"a ".to_vec(), b"A".to_vec()]
                .map(Value::Binary)
                .to_vec(),
            Self::Date => DAYS.map(Value::Date).to_vec(),
            Self::Time => [0, 1, 3_600_000_000, 45_296_000_000, 45_296_500_000, DAY - 1].map(Value::Time).to_vec(),
            Self::Timestamp => moment(false),
            Self::TimestampZoned => moment(true),
        }
    }
}

/// What some databases cannot hold, by the name under which a fixture says so.
pub fn rarity(value: &Value) -> Option<&'static str> {
    match value {
        Value::Float32(number) if number.is_nan() => Some("NaN"),
        Value::Float64(number) if number.is_nan() => Some("NaN"),
        Value::Float32(number) if number.is_infinite() => Some("infinity"),
        Value::Float64(number) if number.is_infinite() => Some("infinity"),
        Value::Float32(number) if *number == 0.0 && number.is_sign_negative() => Some("negative zero"),
        Value::Float64(number) if *number == 0.0 && number.is_sign_negative() => Some("negative zero"),
        Value::Text(text) if text.contains('\0') => Some("NUL in a text"),
        Value::Text(text) if text.is_empty() => Some("an empty text"),
        Value::Date(days) if *days < -354_285 => Some("years before 1000"),
        Value::Timestamp { microseconds, .. } if *microseconds < -354_285 * 86_400_000_000 => Some("years before 1000"),
        Value::Decimal128 { unscaled, .. } if unscaled.unsigned_abs() >= 10_u128.pow(15) => {
            Some("more than 15 digits of a decimal")
        }
        Value::Decimal256 { unscaled, .. } if unscaled.to_string().len() > 15 => {
            Some("more than 15 digits of a decimal")
        }
        _ => None,
    }
}

/// Every such name.
pub const RARITIES: [&str; 7] = [
    "NaN",
    "infinity",
    "negative zero",
    "NUL in a text",
    "an empty text",
    "years before 1000",
    "more than 15 digits of a decimal",
];
