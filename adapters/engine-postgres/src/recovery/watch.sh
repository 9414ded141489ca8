# Serves a server for as long as whoever holds the other end of our input does, and leaves nothing of it: the system
# closes that end when its holder ends, whatever it ends of.
folder=$1
shift
exec 3<&0 </dev/null
if read -r word <&3 && [ "$word" = start ]; then
    "$@" 3<&- &
    server=$!
    { read -r word <&3; kill -s QUIT "$server"; } &
    reader=$!
    wait "$server"
    echo "$?" >"$folder/ended"
    kill "$reader" 2>/dev/null
fi
cat <&3 >/dev/null
rm -rf "$folder"
