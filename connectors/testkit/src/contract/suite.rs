//! The suite as tests: each behaviour has a name of its own in every connector's crate.

/// Expands to one test a behaviour, each over the fixture that the expression makes.
#[macro_export]
macro_rules! contract {
    ($fixture:expr) => {
        $crate::contract! { @behaviours $fixture;
            introspection,
            types_are_declared_as_the_fixture_says,
            hostile_names_are_only_names,
            any_size_arrives,
            queries,
            arithmetic_that_goes_down_never_fails,
            a_register_is_probed_by_bytes,
            keyed_joins_at_any_number_of_keys,
            the_first_row_comes_before_the_scan_ends_and_a_dropped_result_ends_it,
            no_query_sees_rows_of_another,
            a_statement_that_runs_too_long_is_stopped,
            the_budget_of_connections_is_kept,
            nothing_can_be_written,
            a_refusal_tells_the_operator_alone,
            a_server_says_what_it_is,
            a_connection_lost_in_the_middle_of_a_result_is_an_error,
            a_server_that_is_not_there_is_unavailable,
            a_wrong_login_is_refused_as_one,
            encryption_is_verified_or_refused,
            matrix,
        }
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
    (@behaviours $fixture:expr; $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::contract::$name(&$fixture).await;
            }
        )*
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
