//! An expression that has a type: what of it SQLite runs, and what SQL Server would say of it.

use crate::collation::Collation;
use crate::convert;
use crate::error::SqlError;
use crate::sql_type::{Kind, Length, SqlType};

/// How firmly an expression holds its collation ("Collation precedence").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// A literal or a parameter.
    CoercibleDefault,
    /// A column.
    Implicit,
    /// Two columns that disagree.
    Conflict,
    /// COLLATE.
    Explicit,
}

#[derive(Clone, Debug)]
pub struct Typed {
    pub sql: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    pub strength: Strength,
    pub form: Form,
}

/// What an expression is, where the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The word NULL: it takes any type.
    Null,
    /// An integer literal, with its digits.
    Integer(u8),
    /// Another literal.
    Literal,
    /// Built of literals and parameters alone.
    Constant,
    Other,
}

impl Typed {
    pub fn new(sql: impl Into<String>, sql_type: SqlType) -> Self {
        Self { sql: sql.into(), sql_type, nullable: true, strength: Strength::CoercibleDefault, form: Form::Other }
    }

    pub fn null() -> Self {
        Self { form: Form::Null, ..Self::new("NULL", SqlType::Int) }
    }

    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    pub fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    pub fn is_constant(&self) -> bool {
        self.form != Form::Other
    }

    /// The expression in SQL with which SQLite compares, sorts and groups it.
    pub fn key(&self) -> String {
        match self.sql_type.kind() {
            Kind::String => match self.sql_type.collation() {
                Some(collation) => format!("({} COLLATE {})", self.sql, collation.sqlite_name()),
                None => self.sql.clone(),
            },
            Kind::Binary => format!("tds_trim_zeros({})", self.sql),
            Kind::DateTimeOffset => format!("tds_utc({})", self.sql),
            _ => self.sql.clone(),
        }
    }

    /// The expression converted as CAST does it.
    pub fn converted(&self, to: SqlType, style: i64) -> String {
        if self.form == Form::Null {
            return "NULL".to_owned();
        }
        if self.fits_as_it_is(to) {
            return self.sql.clone();
        }
        format!("tds_cast({},{},{},{style})", self.sql, self.sql_type.code(), to.code())
    }

    /// The same expression under another type, converted.
    pub fn cast_to(&self, to: SqlType) -> Self {
        let strength =
            if to.is_string() && self.sql_type.is_string() { self.strength } else { Strength::CoercibleDefault };
        Self { sql: self.converted(to, 0), sql_type: to, nullable: self.nullable, strength, form: self.form }
    }

    /// Whether every value of this type is, in SQLite's form, one of the other type already.
    fn fits_as_it_is(&self, to: SqlType) -> bool {
        let from = self.sql_type;
        if from == to {
            return true;
        }
        match (from, to) {
            _ if from.kind() == Kind::Integer && to.kind() == Kind::Integer => {
                from.integer_range().zip(to.integer_range()).is_some_and(|(f, t)| t.0 <= f.0 && f.1 <= t.1)
            }
            (SqlType::Decimal { precision, scale }, SqlType::Decimal { precision: wider, scale: same }) => {
                scale == same && precision <= wider
            }
            (SqlType::Real, SqlType::Float) | (SqlType::SmallMoney, SqlType::Money) => true,
            (SqlType::Char(a, x) | SqlType::VarChar(Length::Of(a), x), SqlType::VarChar(Length::Of(b), y)) => {
                a <= b && x.wire() == y.wire()
            }
            (SqlType::Char(_, x) | SqlType::VarChar(_, x), SqlType::VarChar(Length::Max, y)) => x.wire() == y.wire(),
            (_, SqlType::NVarChar(Length::Max, _)) => from.is_string(),
            (SqlType::Char(a, _) | SqlType::NChar(a, _), SqlType::NVarChar(Length::Of(b), _)) => a <= b,
            (
                SqlType::VarChar(Length::Of(a), _) | SqlType::NVarChar(Length::Of(a), _),
                SqlType::NVarChar(Length::Of(b), _),
            ) => a <= b,
            (SqlType::Binary(a) | SqlType::VarBinary(Length::Of(a)), SqlType::VarBinary(Length::Of(b))) => a <= b,
            (SqlType::Binary(_) | SqlType::VarBinary(_), SqlType::VarBinary(Length::Max)) => true,
            (SqlType::Time(a), SqlType::Time(b))
            | (SqlType::DateTime2(a), SqlType::DateTime2(b))
            | (SqlType::DateTimeOffset(a), SqlType::DateTimeOffset(b)) => a <= b,
            (SqlType::SmallDateTime, SqlType::DateTime | SqlType::DateTime2(_)) => true,
            _ => false,
        }
    }

    /// Digits and scale as arithmetic counts them: an integer literal has as many digits as it is written with.
    pub fn digits(&self) -> Option<(u8, u8)> {
        match self.form {
            Form::Integer(digits) => Some((digits, 0)),
            _ => self.sql_type.precision_and_scale(),
        }
    }
}

/// The type of two expressions that meet in a comparison, a CASE or a UNION.
///
/// # Errors
/// 206 where the one cannot become the other by itself.
pub fn common_type(left: &Typed, right: &Typed) -> Result<SqlType, SqlError> {
    let (a, b) = (left.sql_type, right.sql_type);
    if right.form == Form::Null {
        return Ok(a);
    }
    if left.form == Form::Null {
        return Ok(b);
    }
    if a.is_string() && b.is_string() {
        return Ok(common_string(left, right));
    }
    let (high, low) = if a.precedence() >= b.precedence() { (a, b) } else { (b, a) };
    if !is_implicit(low, high) {
        return Err(clash(low, high));
    }
    Ok(match (high, low) {
        (SqlType::Decimal { .. }, _) if matches!(low.kind(), Kind::Decimal | Kind::Integer) => {
            let (Some((p1, s1)), Some((p2, s2))) = (left.digits(), right.digits()) else { return Ok(high) };
            let scale = s1.max(s2);
            let whole = (p1 - s1).max(p2 - s2);
            if whole + scale <= 38 {
                SqlType::Decimal { precision: (whole + scale).max(1), scale }
            } else {
                SqlType::Decimal { precision: 38, scale: scale.min(38 - whole.min(38)) }
            }
        }
        (SqlType::Time(x), SqlType::Time(y)) => SqlType::Time(x.max(y)),
        (SqlType::DateTime2(x), SqlType::DateTime2(y)) => SqlType::DateTime2(x.max(y)),
        (SqlType::DateTimeOffset(x), SqlType::DateTimeOffset(y) | SqlType::DateTime2(y) | SqlType::Time(y)) => {
            SqlType::DateTimeOffset(x.max(y))
        }
        (SqlType::VarBinary(x), SqlType::VarBinary(y)) => SqlType::VarBinary(longer(x, y)),
        (SqlType::VarBinary(x), SqlType::Binary(y)) => SqlType::VarBinary(longer(x, Length::Of(y))),
        (SqlType::Binary(x), SqlType::Binary(y)) => SqlType::Binary(x.max(y)),
        _ => high,
    })
}

fn longer(a: Length, b: Length) -> Length {
    match (a, b) {
        (Length::Of(a), Length::Of(b)) => Length::Of(a.max(b)),
        _ => Length::Max,
    }
}

/// The length of a string type, max included.
pub fn string_length(sql_type: SqlType) -> Length {
    sql_type.length().map_or(Length::Max, Length::Of)
}

fn common_string(left: &Typed, right: &Typed) -> SqlType {
    let (a, b) = (left.sql_type, right.sql_type);
    let collation =
        if right.strength > left.strength { b.collation() } else { a.collation() }.unwrap_or(Collation::DEFAULT);
    let length = longer(string_length(a), string_length(b));
    let fixed =
        matches!(a, SqlType::Char(..) | SqlType::NChar(..)) && matches!(b, SqlType::Char(..) | SqlType::NChar(..));
    let unicode = a.is_unicode() || b.is_unicode();
    let length = match length {
        Length::Of(length) if unicode && length > 4000 => Length::Of(4000),
        other => other,
    };
    match (unicode, fixed, length) {
        (true, true, Length::Of(length)) => SqlType::NChar(length, collation),
        (false, true, Length::Of(length)) => SqlType::Char(length, collation),
        (true, ..) => SqlType::NVarChar(length, collation),
        (false, ..) => SqlType::VarChar(length, collation),
    }
}

/// Whether the value converts without CAST.
pub fn is_implicit(from: SqlType, to: SqlType) -> bool {
    if from.is_string() && to.kind() == Kind::Binary {
        return false;
    }
    if from.kind() == Kind::Xml && to.kind() != Kind::Xml {
        return false;
    }
    if matches!(from.kind(), Kind::DateTime) && matches!(to.kind(), Kind::Integer | Kind::Float | Kind::Decimal) {
        return false;
    }
    convert::is_allowed(from, to)
}

pub fn clash(from: SqlType, to: SqlType) -> SqlError {
    SqlError::new(206, 16, 2, format!("Operand type clash: {} is incompatible with {}", from.name(), to.name()))
}

/// The collation under which two strings are compared.
///
/// # Errors
/// 468 where two columns disagree and no COLLATE decides.
pub fn common_collation(left: &Typed, right: &Typed, operation: &str) -> Result<(Collation, Strength), SqlError> {
    let a = left.sql_type.collation().unwrap_or(Collation::DEFAULT);
    let b = right.sql_type.collation().unwrap_or(Collation::DEFAULT);
    if a == b && left.strength != Strength::Conflict && right.strength != Strength::Conflict {
        return Ok((a, left.strength.max(right.strength)));
    }
    let conflict = || {
        SqlError::new(
            468,
            16,
            9,
            format!(
                "Cannot resolve the collation conflict between \"{}\" and \"{}\" in the {operation} operation.",
                a.name(),
                b.name()
            ),
        )
    };
    match (left.strength, right.strength) {
        (Strength::Explicit, Strength::Explicit) => Err(conflict()),
        (Strength::Explicit, _) => Ok((a, Strength::Explicit)),
        (_, Strength::Explicit) => Ok((b, Strength::Explicit)),
        (Strength::Conflict, _) | (_, Strength::Conflict) | (Strength::Implicit, Strength::Implicit) => Err(conflict()),
        (Strength::Implicit, _) => Ok((a, Strength::Implicit)),
        (_, Strength::Implicit) => Ok((b, Strength::Implicit)),
        (Strength::CoercibleDefault, Strength::CoercibleDefault) => Ok((a, Strength::CoercibleDefault)),
    }
}
