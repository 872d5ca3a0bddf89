if has vsftpd curl; then
  mkdir -p "$work/ftp/empty" && echo hello >"$work/ftp/file"
  cat >"$work/vsftpd.conf" <<VSFTPD
listen=YES
listen_port=7010
background=NO
anonymous_enable=YES
anon_root=$work/ftp
secure_chroot_dir=$work/ftp/empty
ssl_enable=YES
allow_anon_ssl=YES
rsa_cert_file=$work/cert.pem
rsa_private_key_file=$work/key.pem
seccomp_sandbox=NO
VSFTPD
  background vsftpd "$work/vsftpd.conf"
  waitfor 7010
  record ftp "tcp port 7010" curl -s ftp://127.0.0.1:7010/file
  record ftp-auth-tls "tcp port 7010" curl -sk --ssl-reqd ftp://127.0.0.1:7010/file
fi

if has rsync; then
  mkdir -p "$work/rsync" && echo hello >"$work/rsync/file"
  printf '[files]\npath = %s\nuse chroot = no\n' "$work/rsync" >"$work/rsyncd.conf"
  background rsync --daemon --no-detach --port 7011 --config "$work/rsyncd.conf"
  waitfor 7011
  record rsync "tcp port 7011" rsync -a rsync://127.0.0.1:7011/files/ "$work/copy"
fi

if has smbd smbclient; then
  mkdir -p "$work/samba/share" "$work/samba/state" "$work/samba/rpc" && echo hello >"$work/samba/share/file"
  cat >"$work/smb.conf" <<SAMBA
[global]
  server role = standalone server
  smb ports = 7012
  server min protocol = NT1
  map to guest = Bad User
  disable netbios = yes
  load printers = no
  log file = $work/samba/log
  private dir = $work/samba/state
  lock directory = $work/samba/state
  state directory = $work/samba/state
  cache directory = $work/samba/state
  pid directory = $work/samba/state
  ncalrpc dir = $work/samba/rpc
[share]
  path = $work/samba/share
  guest ok = yes
SAMBA
  background smbd -F -s "$work/smb.conf" --debug-stdout
  waitfor 7012
  for dialect in NT1 SMB2 SMB3; do
    record "smb-$(tr '[:upper:]' '[:lower:]' <<<$dialect)" "tcp port 7012" smbclient -s "$work/smb.conf" -N -p 7012 \
      --option="client min protocol=NT1" -m $dialect //127.0.0.1/share -c "ls"
  done
fi
