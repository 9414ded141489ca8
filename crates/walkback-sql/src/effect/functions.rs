//! Functions that are known to write nothing.

use walkback_core::DialectKind;

/// Returns whether calling the function changes nothing that lasts.
pub(crate) fn writes_nothing(kind: DialectKind, schema: Option<&str>, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    match kind {
        // Functions of SQLite are code of the host, and the host is walkback, which registers none.
        DialectKind::Sqlite => !matches!(
            lower.as_str(),
            "load_extension" | "writefile" | "edit" | "fts3_tokenizer"
        ),
        DialectKind::Postgres => {
            let is_own_schema = schema.is_none_or(|schema| schema == "pg_catalog");
            is_own_schema && (holds(COMMON, &lower) || holds(POSTGRES, &lower))
        }
        DialectKind::Mysql => schema.is_none() && (holds(COMMON, &lower) || holds(MYSQL, &lower)),
    }
}

/// Returns whether the function moves the sequence its first argument names.
pub(super) fn moves_a_sequence(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "setval" | "nextval")
}

/// Returns whether a word before a parenthesis is no function: a keyword, or a type with its size.
pub(crate) fn is_syntax(name: &str) -> bool {
    holds(SYNTAX, name)
}

/// Returns whether a list, with blanks between its words, holds a word.
fn holds(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace()
        .any(|listed| listed.eq_ignore_ascii_case(word))
}

/// On PostgreSQL and MySQL.
const COMMON: &str = "
    abs acos ascii asin atan atan2 avg bit_and bit_length bit_or bit_xor cast ceil ceiling char_length
    character_length coalesce concat concat_ws cos cot count cume_dist current_date current_time
    current_timestamp current_user database date degrees dense_rank exp extract first_value floor greatest
    ifnull json_array json_arrayagg json_object json_objectagg json_query json_value lag last_value lcase
    lead least left length ln localtime localtimestamp log log10 log2 lower lpad ltrim max md5 min mod now
    nth_value ntile nullif octet_length percent_rank pi position pow power radians rand random rank repeat
    replace reverse right round row row_number rpad rtrim sha1 sign sin sqrt stddev stddev_pop stddev_samp
    strpos substr substring sum tan trim truncate upper var_pop var_samp variance version
";

/// On PostgreSQL, with `pgcrypto`, `uuid-ossp`, `pg_trgm`, `unaccent`, `ltree`, and the plainest of PostGIS.
const POSTGRES: &str = "
    age any_value array array_agg array_append array_cat array_dims array_fill array_length array_lower
    array_ndims array_position array_positions array_prepend array_remove array_replace array_reverse
    array_sort array_to_json array_to_string array_upper bool_and bool_or btrim cardinality chr
    clock_timestamp col_description convert_from convert_to corr crypt current_database current_schema
    current_schemas current_setting currval date_bin date_part date_trunc daterange decode digest div encode
    erf every format format_type gamma gen_random_bytes gen_random_uuid gen_salt generate_series
    generate_subscripts get_bit get_byte grouping has_database_privilege has_schema_privilege
    has_table_privilege hashtext hmac initcap int4range int8range isempty isfinite json_agg
    json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_extract_path json_extract_path_text json_object_agg json_object_keys
    json_populate_record json_populate_recordset json_scalar json_strip_nulls json_to_record
    json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_concat jsonb_delete jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
    jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array jsonb_path_query_first
    jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lastval lca
    levenshtein lower_inc lower_inf lquery ltree2text make_date make_interval make_time make_timestamp
    make_timestamptz metaphone mode nlevel now num_nonnulls num_nulls numnode numrange obj_description
    overlay parse_ident percentile_cont percentile_disc pg_advisory_lock pg_advisory_unlock
    pg_advisory_xact_lock pg_backend_pid pg_client_encoding pg_column_size pg_current_xact_id
    pg_encoding_to_char pg_export_snapshot pg_get_constraintdef pg_get_expr pg_get_functiondef
    pg_get_indexdef pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_indexes_size
    pg_is_in_recovery pg_relation_size pg_size_pretty pg_sleep pg_table_is_visible pg_table_size
    pg_total_relation_size pg_trigger_depth pg_try_advisory_lock pg_try_advisory_xact_lock
    pg_type_is_visible pg_typeof phraseto_tsquery plainto_tsquery quote_ident quote_literal quote_nullable
    random_normal range_agg range_merge regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr row_to_json scale session_user
    set_bit set_byte set_config setseed setweight sha224 sha256 sha384 sha512 shobj_description similarity
    soundex split_part st_astext st_distance st_geomfromtext st_makepoint st_point st_setsrid st_x st_y
    starts_with statement_timestamp string_agg string_to_array string_to_table strip subltree subpath
    text2ltree timeofday to_ascii to_char to_date to_hex to_json to_jsonb to_number to_regclass
    to_regnamespace to_regproc to_regtype to_timestamp to_tsquery to_tsvector transaction_timestamp
    translate trim_array trunc ts_headline ts_rank ts_rank_cd tsrange tstzrange txid_current unaccent unnest
    upper_inc upper_inf uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4
    uuid_generate_v5 uuid_nil uuidv4 uuidv7 websearch_to_tsquery width_bucket word_similarity xmlagg
    xmlelement xmlforest
";

/// On MySQL and MariaDB.
const MYSQL: &str = "
    adddate addtime aes_decrypt aes_encrypt any_value benchmark bin bin_to_uuid bit_count char charset
    coercibility collation compress connection_id conv convert convert_tz crc32 curdate curtime date_add
    date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear default elt export_set
    extractvalue field find_in_set format found_rows from_base64 from_days from_unixtime get_format get_lock
    group_concat grouping hex hour if inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval
    is_free_lock is_ipv4 is_ipv6 is_used_lock is_uuid isnull json_array_append json_array_insert
    json_contains json_contains_path json_depth json_extract json_insert json_keys json_length json_merge
    json_merge_patch json_merge_preserve json_overlaps json_pretty json_quote json_remove json_replace
    json_schema_valid json_search json_set json_table json_type json_unquote json_valid last_day
    last_insert_id load_file locate make_set makedate maketime microsecond mid minute month monthname
    name_const oct ord password period_add period_diff quarter quote random_bytes regexp_instr regexp_like
    regexp_replace regexp_substr release_all_locks release_lock row_count schema sec_to_time second
    session_user sha sha2 sleep soundex space std str_to_date strcmp subdate substring_index subtime sysdate
    system_user time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_days
    to_seconds ucase uncompress unhex unix_timestamp updatexml user utc_date utc_time utc_timestamp uuid
    uuid_short uuid_to_bin validate_password_strength values week weekday weekofyear weight_string year
    yearweek
";

const SYNTAX: &str = "
    add all analyze and any array as asc between bigint binary bit blob by case cast char character check
    collate column columns conflict constraint cross cube current_time current_timestamp date datetime dec
    decimal default desc distinct distinctrow do double each else end enum except exists explain filter
    first float for foreign from full group grouping hash having if ignore in index inner insert instead int
    integer intersect interval into is join key lateral left like limit list localtime localtimestamp
    matched materialized mediumint merge minus natural nchar not nothing null numeric nvarchar of offset on
    only or order outer over overlaps overlay partition partitions precision primary procedure range real
    recursive ref references regexp return returning rollup row rows select set sets similar smallint some
    strict table tables tablesample text then time timestamp timestamptz timetz tinyint to trigger union
    unique unsigned update use using value values varbinary varchar varying view when where window with
    within without year zone
";
