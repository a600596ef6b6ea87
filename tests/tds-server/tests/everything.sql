CREATE TABLE dbo.everything (
    id int NOT NULL PRIMARY KEY,
    c_bit bit, c_tinyint tinyint, c_smallint smallint, c_int int, c_bigint bigint,
    c_real real, c_float float, c_decimal decimal(38, 10), c_numeric numeric(5, 2), c_money money, c_smallmoney smallmoney,
    c_date date, c_time time(7), c_time0 time(0), c_datetime2 datetime2(7), c_datetime2_3 datetime2(3),
    c_offset datetimeoffset(7), c_datetime datetime, c_smalldatetime smalldatetime,
    c_char char(5), c_varchar varchar(20), c_varcharmax varchar(max), c_nchar nchar(5), c_nvarchar nvarchar(20),
    c_nvarcharmax nvarchar(max), c_text text, c_ntext ntext, c_cyrillic varchar(20) COLLATE Cyrillic_General_CI_AS,
    c_binary binary(4), c_varbinary varbinary(20), c_varbinarymax varbinary(max), c_image image,
    c_guid uniqueidentifier, c_xml xml
);
INSERT INTO dbo.everything VALUES (1, 0, 0, -32768, -2147483648, -9223372036854775808, -3.4E38, -1.79E308,
    -9999999999999999999999999999.9999999999, -999.99, -922337203685477.5808, -214748.3648,
    '0001-01-01', '00:00:00', '00:00:00', '0001-01-01', '0001-01-01', '0001-01-01T00:00:00+00:00', '1753-01-01',
    '1900-01-01', 'a', '', '', N'å', N'', N'', '', N'', N'', 0x00, 0x, 0x, 0x,
    '00000000-0000-0000-0000-000000000000', N'<a/>'),
    (2, 1, 255, 32767, 2147483647, 9223372036854775807, 3.4E38, 1.79E308,
    9999999999999999999999999999.9999999999, 999.99, 922337203685477.5807, 214748.3647,
    '9999-12-31', '23:59:59.9999999', '23:59:59', '9999-12-31T23:59:59.9999999', '9999-12-31T23:59:59.999',
    '9999-12-31T23:59:59.9999999 +00:00', '9999-12-31T23:59:59.997', '2079-06-06T23:59:00',
    'abcde', '€uro', 'max', N'日本語日本', N'😀', N'😀', 'text', N'日本', N'жук', 0xFFFFFFFF, 0x00FF, 0x01, 0xAB,
    '00112233-4455-6677-8899-AABBCCDDEEFF', N'<a>ж</a>');
INSERT INTO dbo.everything (id) VALUES (3);
