//! The suite as tests: each behaviour has a name of its own in every connector's crate.

/// Expands to one test a behaviour, each over the fixture that the expression makes.
#[macro_export]
macro_rules! contract {
    ($fixture:expr) => {
        $crate::contract! { @expressions $fixture;
            expressions_over_booleans: Boolean,
            expressions_over_int16: Int16,
            expressions_over_int32: Int32,
            expressions_over_int64: Int64,
            expressions_over_float32: Float32,
            expressions_over_float64: Float64,
            expressions_over_binary: Binary,
            expressions_over_dates: Date,
            expressions_over_times: Time,
            expressions_over_timestamps: Timestamp,
            expressions_over_zoned_timestamps: TimestampZoned,
            expressions_over_money: Decimal { precision: 10, scale: 2 },
            expressions_over_long_decimals: Decimal { precision: 38, scale: 10 },
            expressions_over_very_long_decimals: Decimal { precision: 50, scale: 5 },
            expressions_over_texts_by_bytes: Text($crate::contract::Order::Bytes),
            expressions_over_texts_by_language: Text($crate::contract::Order::Language),
            expressions_over_loose_texts: Text($crate::contract::Order::Loose),
        }
    };
    (@expressions $fixture:expr; $($name:ident: $kind:ident $(($($of:tt)*))? $({$($with:tt)*})?,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let kind = $crate::contract::Kind::$kind $(($($of)*))? $({$($with)*})?;
                $crate::contract::expressions(&$fixture, kind).await;
            }
        )*
    };
}
