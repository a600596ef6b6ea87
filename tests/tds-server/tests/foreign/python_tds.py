"""python-tds reads every type, long values, errors, parameters and transactions from the test server."""

import datetime
import decimal
import sys
import uuid

import pytds

port, authority = int(sys.argv[1]), sys.argv[2]


def connect(**options):
    return pytds.connect(
        dsn="127.0.0.1", port=port, user="wayleave", password="Passw0rd!", database="care",
        cafile=authority, validate_host=False, **options,
    )


def refused(number, run):
    try:
        run()
    except pytds.Error as error:
        assert error.number == number, (error.number, error)
    else:
        raise AssertionError(f"{number} was not raised")


with connect(autocommit=True) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT * FROM dbo.everything ORDER BY id")
    columns = [column[0] for column in cursor.description]
    first, second, nulls = [dict(zip(columns, row)) for row in cursor.fetchall()]
    assert first["c_bigint"] == -(2**63) and second["c_bigint"] == 2**63 - 1
    assert second["c_bit"] is True and second["c_tinyint"] == 255 and first["c_smallint"] == -32768
    assert first["c_float"] == -1.79e308
    assert second["c_decimal"] == decimal.Decimal("9999999999999999999999999999.9999999999")
    assert first["c_money"] == decimal.Decimal("-922337203685477.5808")
    assert second["c_smallmoney"] == decimal.Decimal("214748.3647")
    assert first["c_date"] == datetime.date(1, 1, 1) and second["c_date"] == datetime.date(9999, 12, 31)
    assert second["c_time"] == datetime.time(23, 59, 59, 999999)
    assert second["c_datetime2_3"] == datetime.datetime(9999, 12, 31, 23, 59, 59, 999000)
    assert first["c_datetime"] == datetime.datetime(1753, 1, 1)
    assert second["c_smalldatetime"] == datetime.datetime(2079, 6, 6, 23, 59)
    assert second["c_offset"].utcoffset() == datetime.timedelta(0)
    assert first["c_char"] == "a    " and second["c_varchar"] == "€uro" and second["c_cyrillic"] == "жук"
    assert second["c_nvarchar"] == "😀" and second["c_ntext"] == "日本" and second["c_xml"] == "<a>ж</a>"
    assert first["c_binary"] == b"\0\0\0\0" and second["c_varbinary"] == b"\0\xff" and second["c_image"] == b"\xab"
    assert second["c_guid"] == uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    assert nulls.pop("id") == 3 and set(nulls.values()) == {None}

    cursor.execute("SELECT REPLICATE(CAST(N'ж' AS nvarchar(max)), 500000) AS n")
    assert cursor.fetchone()[0] == "ж" * 500000
    long = "å" * 300000
    cursor.execute("SELECT %s AS a, %s AS b, %s AS c, %s AS d", (long, 2**40, None, decimal.Decimal("-1.25")))
    assert cursor.fetchone() == (long, 2**40, None, decimal.Decimal("-1.25"))

    refused(8134, lambda: (cursor.execute("SELECT 1/0 AS x"), cursor.fetchall()))
    refused(208, lambda: (cursor.execute("SELECT x FROM dbo.nowhere"), cursor.fetchall()))
    cursor.execute("SELECT 1 AS a; SELECT 2 AS b")
    assert cursor.fetchall() == [(1,)] and cursor.nextset() and cursor.fetchall() == [(2,)]

with connect() as connection, connection.cursor() as cursor:
    cursor.execute("INSERT INTO dbo.everything (id) VALUES (%s)", (99,))
    connection.rollback()
    cursor.execute("SELECT COUNT(*) FROM dbo.everything WHERE id = 99")
    assert cursor.fetchone() == (0,)

try:
    pytds.connect(dsn="127.0.0.1", port=port, user="wayleave", password="wrong", cafile=authority, validate_host=False)
except pytds.Error as error:
    assert "Login failed" in str(error), error
else:
    raise AssertionError("the wrong password was taken")
print("python-tds is content")
