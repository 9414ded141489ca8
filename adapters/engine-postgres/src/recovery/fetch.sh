# Brings one file of the archive to the server, in whichever form `archive_command` has left it there, and notes what
# came of it. More than 125 is the server's sign to give up instead of taking it for the end of the archive.
archive=$1
name=$2
target=$3
notes=$4
reader=$5
# A server that replays the making of a tablespace makes it where it was made, which is a folder of the server of today.
makes_none() {
    case $name in *.*) return 0 ;; esac
    seen=${notes%/*}/seen
    rm -rf "$seen"
    mkdir "$seen" && ln -s "$PWD/$1" "$seen/$name" || return 1
    made=$("$reader" --path="$seen" --rmgr=Tablespace "$name" 2>/dev/null | sed -n 's/.*desc: CREATE \([0-9]*\) .*/\1/p')
    [ -z "$made" ] && return 0
    echo "tablespace" $made >>"$notes"
    return 1
}
if [ ! -r "$archive" ] || [ ! -x "$archive" ]; then
    echo "closed $archive" >>"$notes"
    exit 201
fi
for form in "" .gz .zst .lz4 .bz2 .xz .partial; do
    file=$archive/$name$form
    [ -f "$file" ] || continue
    case $form in
        .gz) set -- gzip -dc ;;
        .zst) set -- zstd -dcq ;;
        .lz4) set -- lz4 -dcq ;;
        .bz2) set -- bzip2 -dc ;;
        .xz) set -- xz -dc ;;
        *) set -- cat ;;
    esac
    if said=$("$@" 2>&1 <"$file" >"$target"); then
        makes_none "$target" || exit 203
        echo "took $name" >>"$notes"
        exit 0
    fi
    echo "broken $file" >>"$notes"
    echo "$said" >&2
    exit 202
done
# The server has it from its base backup then.
if [ -f "pg_wal/$name" ]; then
    makes_none "pg_wal/$name" || exit 203
fi
echo "missing $name" >>"$notes"
exit 1
