//! What is asked of PostgreSQL's catalogs. Every column is text; every query sees only what people have made:
//! nothing of the server, of extensions or of walkback itself.

/// The condition on a schema (`n`) that people use.
macro_rules! schemas {
    () => {
        "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^_walkback_'"
    };
}

/// The condition that an object is not a member of an extension.
macro_rules! not_member {
    ($class:literal, $oid:literal) => {
        concat!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = '",
            $class,
            "'::pg_catalog.regclass AND x.objid = ",
            $oid,
            " AND x.deptype = 'e')"
        )
    };
}

/// Relations of people, as a table expression `c` joined with its schema `n`.
macro_rules! relations {
    () => {
        concat!(
            "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND ",
            schemas!(),
            " AND c.oid >= 16384 AND c.relname !~ '^_walkback_' AND c.relpersistence <> 't' AND ",
            not_member!("pg_class", "c.oid")
        )
    };
}

pub(super) const TABLES: &str = concat!(
    "SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
     coalesce(array_to_json(c.reloptions)::text, '[]'), pg_catalog.pg_get_partkeydef(c.oid), \
     pg_catalog.pg_get_expr(c.relpartbound, c.oid), \
     CASE WHEN a.amname <> 'heap' THEN a.amname::text END, s.spcname::text, \
     CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END, \
     c.relrowsecurity::text, c.relforcerowsecurity::text, c.relreplident::text \
     FROM ",
    relations!(),
    " LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace \
     WHERE c.relkind IN ('r', 'p') ORDER BY n.nspname, c.relname"
);

pub(super) const PARENTS: &str = "\
SELECT i.inhrelid::text, i.inhparent::text FROM pg_catalog.pg_inherits i \
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p') ORDER BY i.inhrelid, i.inhseqno";

pub(super) const COLUMNS: &str = concat!(
    "SELECT a.attrelid::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull::text, \
     (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
       WHERE a.atthasdef AND d.adrelid = a.attrelid AND d.adnum = a.attnum), \
     a.attgenerated::text, a.attidentity::text, a.attislocal::text, \
     CASE WHEN a.attcollation <> t.typcollation THEN (SELECT pg_catalog.format('%I.%I', ln.nspname, l.collname) \
       FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace \
       WHERE l.oid = a.attcollation) END, \
     CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END, \
     CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' \
       WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END, \
     nullif(a.attstattarget, -1)::text, coalesce(array_to_json(a.attoptions)::text, '[]'), \
     CASE t.typstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END \
     FROM pg_catalog.pg_attribute a JOIN ",
    relations!(),
    " ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') \
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"
);

/// A foreign key to a table with partitions has another for each of these, which comes and goes with it.
pub(super) const CONSTRAINTS: &str = concat!(
    "SELECT o.oid::text, o.conrelid::text, o.conname::text, o.contype::text, pg_catalog.pg_get_constraintdef(o.oid), \
     (o.conislocal AND o.conparentid = 0)::text, o.confrelid::text, \
     array_to_json(ARRAY(SELECT a.attname::text FROM unnest(o.conkey) WITH ORDINALITY k(n, i) \
       JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.n ORDER BY k.i))::text, \
     array_to_json(ARRAY(SELECT a.attname::text FROM unnest(o.confkey) WITH ORDINALITY k(n, i) \
       JOIN pg_catalog.pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.n ORDER BY k.i))::text, \
     (o.confdeltype IN ('c', 'n', 'd') OR o.confupdtype IN ('c', 'n', 'd'))::text, \
     fn.nspname::text, f.relname::text \
     FROM pg_catalog.pg_constraint o JOIN ",
    relations!(),
    " ON c.oid = o.conrelid AND c.relkind IN ('r', 'p') \
     LEFT JOIN pg_catalog.pg_class f ON f.oid = o.confrelid LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace \
     LEFT JOIN pg_catalog.pg_constraint w ON w.oid = o.conparentid AND w.conrelid = o.conrelid AND w.contype = 'f' \
     WHERE o.contype IN ('p', 'u', 'c', 'f', 'x') AND w.oid IS NULL ORDER BY o.conrelid, o.contype, o.conname"
);

pub(super) const SEQUENCES: &str = concat!(
    "SELECT c.oid::text, n.nspname::text, c.relname::text, pg_catalog.format_type(s.seqtypid, NULL), s.seqstart::text, \
     s.seqincrement::text, s.seqmax::text, s.seqmin::text, s.seqcache::text, s.seqcycle::text, \
     d.deptype::text, d.refobjid::text, a.attname::text, \
     pg_catalog.has_sequence_privilege(c.oid, 'SELECT')::text, (c.relpersistence = 'u')::text \
     FROM ",
    relations!(),
    " JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid \
     LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid \
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 \
     LEFT JOIN pg_catalog.pg_class oc ON oc.oid = d.refobjid \
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
     WHERE coalesce(oc.relname, '') !~ '^_walkback_' ORDER BY n.nspname, c.relname"
);

/// Of two indexes on the same columns of a partitioned table each is to take in its own of each partition: the one that is made first
/// takes the first.
pub(super) const INDEXES: &str = concat!(
    "SELECT i.indexrelid::text, n.nspname::text, ic.relname::text, i.indrelid::text, \
     pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid::text, ic.relkind::text, i.indisclustered::text, \
     i.indisreplident::text, \
     EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x'))::text \
     FROM pg_catalog.pg_index i JOIN ",
    relations!(),
    " ON c.oid = i.indrelid JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid \
     ORDER BY ic.relkind DESC, \
       CASE WHEN ic.relkind = 'I' THEN (SELECT count(*) FROM pg_catalog.pg_partition_ancestors(ic.oid)) END DESC, \
       CASE WHEN ic.relkind = 'I' THEN (SELECT min(p.relname) FROM pg_catalog.pg_inherits h \
         JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid WHERE h.inhparent = ic.oid) END, \
       n.nspname, ic.relname"
);

pub(super) const VIEWS: &str = concat!(
    "SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, pg_catalog.pg_get_viewdef(c.oid), \
     coalesce(array_to_json(c.reloptions)::text, '[]'), c.relispopulated::text, \
     CASE WHEN a.amname <> 'heap' THEN a.amname::text END, s.spcname::text \
     FROM ",
    relations!(),
    " LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace \
     WHERE c.relkind IN ('v', 'm') ORDER BY n.nspname, c.relname"
);

/// Types but those of rows of tables, of arrays, of multiranges, and those made of C functions.
pub(super) const TYPES: &str = concat!(
    "SELECT t.oid::text, n.nspname::text, t.typname::text, t.typtype::text, \
     (SELECT array_to_json(array_agg(e.enumlabel::text ORDER BY e.enumsortorder))::text \
       FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), \
     (SELECT string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) || \
         CASE WHEN a.attcollation <> at.typcollation THEN pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname) ELSE '' END, \
         ', ' ORDER BY a.attnum) \
       FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type at ON at.oid = a.atttypid \
       LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
       LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace \
       WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), \
     CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) || \
       coalesce((SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_catalog.pg_collation l \
         JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace JOIN pg_catalog.pg_type bt ON bt.oid = t.typbasetype \
         WHERE l.oid = t.typcollation AND t.typcollation <> bt.typcollation), '') || \
       coalesce(' DEFAULT ' || pg_catalog.pg_get_expr(t.typdefaultbin, 0), ' DEFAULT ' || t.typdefault, '') || \
       CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END || \
       coalesce((SELECT string_agg(pg_catalog.format(' CONSTRAINT %I %s', o.conname, pg_catalog.pg_get_constraintdef(o.oid)), '' \
         ORDER BY o.conname) FROM pg_catalog.pg_constraint o WHERE o.contypid = t.oid AND o.contype = 'c'), '') END, \
     (SELECT pg_catalog.format('SUBTYPE = %s', pg_catalog.format_type(r.rngsubtype, NULL)) || \
        CASE WHEN NOT oc.opcdefault THEN pg_catalog.format(', SUBTYPE_OPCLASS = %I.%I', ocn.nspname, oc.opcname) ELSE '' END || \
        CASE WHEN r.rngcollation <> st.typcollation THEN pg_catalog.format(', COLLATION = %I.%I', ln.nspname, l.collname) ELSE '' END || \
        CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc::text ELSE '' END || \
        pg_catalog.format(', MULTIRANGE_TYPE_NAME = %I.%I', mn.nspname, mt.typname) \
      FROM pg_catalog.pg_range r JOIN pg_catalog.pg_type st ON st.oid = r.rngsubtype \
      JOIN pg_catalog.pg_opclass oc ON oc.oid = r.rngsubopc JOIN pg_catalog.pg_namespace ocn ON ocn.oid = oc.opcnamespace \
      JOIN pg_catalog.pg_type mt ON mt.oid = r.rngmultitypid JOIN pg_catalog.pg_namespace mn ON mn.oid = mt.typnamespace \
      LEFT JOIN pg_catalog.pg_collation l ON l.oid = r.rngcollation \
      LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace WHERE r.rngtypid = t.oid) \
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND ",
    schemas!(),
    " AND t.oid >= 16384 AND t.typname !~ '^_walkback_' AND ",
    not_member!("pg_type", "t.oid"),
    " LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.typrelid \
     WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND tc.relkind = 'c' ORDER BY n.nspname, t.typname"
);

pub(super) const ROUTINES: &str = concat!(
    "SELECT p.oid::text, n.nspname::text, p.proname::text, p.prokind::text, \
     pg_catalog.pg_get_function_identity_arguments(p.oid), \
     CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END, \
     pg_catalog.oidvectortypes(p.proargtypes) \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND ",
    schemas!(),
    " AND p.oid >= 16384 AND p.proname !~ '^_walkback_' AND ",
    not_member!("pg_proc", "p.oid"),
    " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
       AND i.objid = p.oid AND i.deptype = 'i') ORDER BY n.nspname, p.proname, 5"
);

pub(super) const AGGREGATES: &str = concat!(
    "SELECT p.oid::text, pg_catalog.pg_get_function_arguments(p.oid), g.aggkind::text, \
     pg_catalog.concat_ws(', ', 'SFUNC = ' || g.aggtransfn::regproc::text, \
       'STYPE = ' || pg_catalog.format_type(g.aggtranstype, NULL), \
       'SSPACE = ' || nullif(g.aggtransspace, 0), \
       'FINALFUNC = ' || nullif(g.aggfinalfn::oid, 0)::regproc::text, \
       CASE WHEN g.aggfinalextra THEN 'FINALFUNC_EXTRA' END, \
       CASE WHEN g.aggfinalfn <> 0 THEN 'FINALFUNC_MODIFY = ' || CASE g.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' \
         WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END, \
       'COMBINEFUNC = ' || nullif(g.aggcombinefn::oid, 0)::regproc::text, \
       'SERIALFUNC = ' || nullif(g.aggserialfn::oid, 0)::regproc::text, \
       'DESERIALFUNC = ' || nullif(g.aggdeserialfn::oid, 0)::regproc::text, \
       'INITCOND = ' || pg_catalog.quote_literal(g.agginitval), \
       'MSFUNC = ' || nullif(g.aggmtransfn::oid, 0)::regproc::text, \
       'MINVFUNC = ' || nullif(g.aggminvtransfn::oid, 0)::regproc::text, \
       'MSTYPE = ' || CASE WHEN g.aggmtranstype <> 0 THEN pg_catalog.format_type(g.aggmtranstype, NULL) END, \
       'MSSPACE = ' || nullif(g.aggmtransspace, 0), \
       'MFINALFUNC = ' || nullif(g.aggmfinalfn::oid, 0)::regproc::text, \
       CASE WHEN g.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END, \
       'MINITCOND = ' || pg_catalog.quote_literal(g.aggminitval), \
       'SORTOP = ' || (SELECT pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, op.oprname) FROM pg_catalog.pg_operator op \
         JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace WHERE op.oid = g.aggsortop), \
       'PARALLEL = ' || CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' END, \
       CASE WHEN g.aggkind = 'h' THEN 'HYPOTHETICAL' END) \
     FROM pg_catalog.pg_aggregate g JOIN pg_catalog.pg_proc p ON p.oid = g.aggfnoid \
     JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND p.oid >= 16384 AND ",
    schemas!()
);

pub(super) const TRIGGERS: &str = concat!(
    "SELECT t.oid::text, n.nspname::text, t.tgname::text, t.tgrelid::text, pg_catalog.pg_get_triggerdef(t.oid), \
     t.tgenabled::text, c.relname::text \
     FROM pg_catalog.pg_trigger t JOIN ",
    relations!(),
    " ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY n.nspname, t.tgname, c.relname"
);

pub(super) const RULES: &str = concat!(
    "SELECT r.oid::text, n.nspname::text, r.rulename::text, r.ev_class::text, pg_catalog.pg_get_ruledef(r.oid), \
     r.ev_enabled::text, c.relname::text \
     FROM pg_catalog.pg_rewrite r JOIN ",
    relations!(),
    " ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN' ORDER BY n.nspname, r.rulename, c.relname"
);

pub(super) const POLICIES: &str = concat!(
    "SELECT p.oid::text, n.nspname::text, p.polname::text, p.polrelid::text, \
     pg_catalog.format('AS %s FOR %s TO %s', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, \
       CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END, \
       CASE WHEN p.polroles = '{0}' THEN 'PUBLIC' ELSE (SELECT string_agg(pg_catalog.quote_ident(r.rolname), ', ' ORDER BY r.rolname) \
         FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)) END) || \
     coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '') || \
     coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''), c.relname::text \
     FROM pg_catalog.pg_policy p JOIN ",
    relations!(),
    " ON c.oid = p.polrelid ORDER BY n.nspname, p.polname, c.relname"
);

pub(super) const STATISTICS: &str = concat!(
    "SELECT s.oid::text, n.nspname::text, s.stxname::text, s.stxrelid::text, pg_catalog.pg_get_statisticsobjdef(s.oid) \
     FROM pg_catalog.pg_statistic_ext s JOIN ",
    relations!(),
    " ON c.oid = s.stxrelid ORDER BY n.nspname, s.stxname"
);

pub(super) const SCHEMAS: &str = concat!(
    "SELECT n.oid::text, n.nspname::text FROM pg_catalog.pg_namespace n WHERE ",
    schemas!(),
    " AND n.nspname <> 'public' AND ",
    not_member!("pg_namespace", "n.oid"),
    " ORDER BY n.nspname"
);

pub(super) const EXTENSIONS: &str = "\
SELECT e.oid::text, e.extname::text, n.nspname::text, e.extversion FROM pg_catalog.pg_extension e \
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.extname";

/// Which object needs which other one: views by their rules, tables by their defaults and constraints, and all
/// of them the type below an array and the table behind the type of a row. Foreign keys are left out.
pub(crate) const DEPENDENCIES: &str = "\
SELECT DISTINCT coalesce(r.ev_class, d.adrelid, nullif(o.conrelid, 0), nullif(o.contypid, 0), ct.oid, x.objid)::text, \
       coalesce(nullif(rt.typelem, 0), nullif(rt.typrelid, 0), x.refobjid)::text \
FROM pg_catalog.pg_depend x \
LEFT JOIN pg_catalog.pg_rewrite r ON x.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = x.objid AND r.rulename = '_RETURN' \
LEFT JOIN pg_catalog.pg_attrdef d ON x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.oid = x.objid \
LEFT JOIN pg_catalog.pg_constraint o ON x.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = x.objid \
LEFT JOIN pg_catalog.pg_class cc ON x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cc.oid = x.objid AND cc.relkind = 'c' \
LEFT JOIN pg_catalog.pg_type ct ON ct.oid = cc.reltype \
LEFT JOIN pg_catalog.pg_type rt ON x.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND rt.oid = x.refobjid \
  AND (rt.typcategory = 'A' OR EXISTS (SELECT FROM pg_catalog.pg_class k WHERE k.oid = rt.typrelid AND k.relkind <> 'c')) \
WHERE x.deptype IN ('n', 'a') AND x.refobjid >= 16384 AND x.objid >= 16384 AND coalesce(o.contype, ' ') <> 'f'";

/// Rights that differ from those an object is born with: what, on which column, whether it was granted or taken
/// away, to whom, whether it may be passed on, and which. The server's own objects have numbers below 16384.
pub(super) const GRANTS: &str = "\
WITH acls AS ( \
  SELECT 'pg_class' AS class, c.oid, 0 AS sub, c.relacl AS acl, c.relowner AS owner, \
         CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\" AS kind FROM pg_catalog.pg_class c WHERE c.relacl IS NOT NULL AND c.oid >= 16384 \
  UNION ALL SELECT 'pg_class', a.attrelid, a.attnum, a.attacl, c.relowner, 'c'::\"char\" FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND a.attrelid >= 16384 \
  UNION ALL SELECT 'pg_proc', p.oid, 0, p.proacl, p.proowner, 'f'::\"char\" FROM pg_catalog.pg_proc p WHERE p.proacl IS NOT NULL AND p.oid >= 16384 \
  UNION ALL SELECT 'pg_type', t.oid, 0, t.typacl, t.typowner, 'T'::\"char\" FROM pg_catalog.pg_type t WHERE t.typacl IS NOT NULL AND t.oid >= 16384 \
  UNION ALL SELECT 'pg_namespace', n.oid, 0, n.nspacl, n.nspowner, 'n'::\"char\" FROM pg_catalog.pg_namespace n WHERE n.nspacl IS NOT NULL AND n.oid >= 16384), \
now AS (SELECT a.class, a.oid, a.sub, a.owner, e.grantee, e.is_grantable, e.privilege_type FROM acls a, \
  pg_catalog.aclexplode(nullif(a.acl, '{}')) e), \
born AS (SELECT a.class, a.oid, a.sub, a.owner, e.grantee, e.is_grantable, e.privilege_type FROM acls a \
  LEFT JOIN pg_catalog.pg_init_privs i ON i.objoid = a.oid AND i.classoid = a.class::regclass AND i.objsubid = a.sub, \
  pg_catalog.aclexplode(nullif(coalesce(i.initprivs, CASE WHEN a.kind <> 'c' THEN pg_catalog.acldefault(a.kind, a.owner) END), '{}')) e), \
changes AS (SELECT 'GRANT' AS verb, d.* FROM (SELECT * FROM now EXCEPT SELECT * FROM born) d \
  UNION ALL SELECT 'REVOKE', d.* FROM (SELECT * FROM born EXCEPT SELECT * FROM now) d) \
SELECT g.class, g.oid::text, g.verb, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END, \
       g.is_grantable::text, string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), \
       a.attname::text \
FROM changes g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee \
LEFT JOIN pg_catalog.pg_attribute a ON g.class = 'pg_class' AND g.sub > 0 AND a.attrelid = g.oid AND a.attnum = g.sub \
WHERE (r.oid IS NOT NULL OR g.grantee = 0) AND NOT (g.verb = 'GRANT' AND g.grantee = g.owner) \
GROUP BY 1, 2, 3, 4, 5, 7 ORDER BY 1, 2, 3 DESC, 4, 5, 7";

/// The columns of a type are those of a relation without rows.
pub(super) const COMMENTS: &str = "\
SELECT d.classoid::pg_catalog.regclass::text, coalesce(nullif(k.reltype, 0), d.objoid)::text, a.attname::text, d.description, o.conname::text, o.conrelid::text \
FROM pg_catalog.pg_description d \
LEFT JOIN pg_catalog.pg_class k ON d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.oid = d.objoid AND k.relkind = 'c' \
LEFT JOIN pg_catalog.pg_attribute a ON d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attrelid = d.objoid \
  AND a.attnum = d.objsubid AND d.objsubid > 0 \
LEFT JOIN pg_catalog.pg_constraint o ON d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = d.objoid \
WHERE d.objoid >= 16384 ORDER BY 1, 2, d.objsubid";
