if has ssh ssh-keygen git && [ -x /usr/sbin/sshd ]; then
  ssh-keygen -q -t ed25519 -N "" -f "$work/host" && ssh-keygen -q -t ed25519 -N "" -f "$work/user"
  cp "$work/user.pub" "$work/authorized" && mkdir -p /run/sshd
  background /usr/sbin/sshd -D -p 2222 -h "$work/host" -o AuthorizedKeysFile="$work/authorized" -o StrictModes=no -o PidFile=none
  waitfor 2222
  login=(-i "$work/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)
  record ssh "tcp port 2222" ssh -p 2222 "${login[@]}" 127.0.0.1 true
  git init -q --bare "$work/repository.git"
  record git-over-ssh "tcp port 2222" env GIT_SSH_COMMAND="ssh -p 2222 ${login[*]}" git ls-remote "ssh://127.0.0.1$work/repository.git"
  if has rsync; then
    mkdir -p "$work/rsync-ssh" && echo hello >"$work/rsync-ssh/file"
    record rsync-over-ssh "tcp port 2222" rsync -a -e "ssh -p 2222 ${login[*]}" "127.0.0.1:$work/rsync-ssh/" "$work/copy-ssh"
  fi
  # SOCKS by a real proxy of its own: ssh speaks versions 4, 4a and 5.
  background ssh -p 2222 "${login[@]}" -N -D 127.0.0.1:7020 127.0.0.1
  background openssl s_server -accept 8445 -key "$work/key.pem" -cert "$work/cert.pem" -www
  waitfor 7020
  waitfor 8445
  if has curl; then
    for version in 4a 5-hostname; do
      record "socks$version" "tcp port 7020" curl -sk "--socks$version" 127.0.0.1:7020 -H "Host: www.example.org" https://localhost:8445/
    done
  fi
fi
