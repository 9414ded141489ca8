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
# What unpacks into it may not have ended yet: it does when its folder is gone. `owner` goes last, since by that the folder
# is found should we be killed too.
tries=0
while [ "$tries" -lt 60 ]; do
    find "$folder" -mindepth 1 -maxdepth 1 ! -name owner -exec rm -rf {} + 2>/dev/null
    [ -n "$(find "$folder" -mindepth 1 -maxdepth 1 ! -name owner 2>/dev/null)" ] || break
    tries=$((tries + 1))
    sleep 1
done
[ "$tries" -lt 60 ] && rm -rf "$folder"
