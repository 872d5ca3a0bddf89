if has postfix curl && [ -x /usr/lib/postfix/sbin/master ]; then
  mkdir "$work/postfix" "$work/spool" "$work/maildata" && chown postfix "$work/maildata"
  cat >"$work/postfix/main.cf" <<POSTFIX
compatibility_level = 3.6
queue_directory = $work/spool
data_directory = $work/maildata
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mail.example.org
mydestination = example.org
local_transport = discard
maillog_file = /dev/stdout
smtpd_tls_cert_file = $work/cert.pem
smtpd_tls_key_file = $work/key.pem
smtpd_tls_security_level = may
POSTFIX
  cat >"$work/postfix/master.cf" <<POSTFIX
7007 inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
POSTFIX
  background postfix -c "$work/postfix" start-fg
  waitfor 7007
  # Past the greeting to the look itself.
  sleep 1
  printf 'Subject: hello\r\n\r\nhello\r\n' >"$work/mail"
  mail=(curl -sk --mail-from sender@example.org --mail-rcpt user@example.org -T "$work/mail")
  record smtp "tcp port 7007" "${mail[@]}" smtp://127.0.0.1:7007/client.example.org
  record smtp-starttls "tcp port 7007" "${mail[@]}" --ssl-reqd smtp://127.0.0.1:7007/client.example.org
  inside postfix -c "$work/postfix" stop >>"$work/log" 2>&1
fi

if has dovecot curl && id dovecot >/dev/null 2>&1; then
  mkdir "$work/dovecot" "$work/home" && chown daemon "$work/home"
  echo "user:{PLAIN}secret:$(id -u daemon):$(id -g daemon)::$work/home" >"$work/users"
  cat >"$work/dovecot.conf" <<DOVECOT
protocols = imap pop3
base_dir = $work/dovecot
log_path = $work/dovecot.log
ssl_cert = <$work/cert.pem
ssl_key = <$work/key.pem
disable_plaintext_auth = no
mail_location = maildir:$work/home/mail
first_valid_uid = 1
service imap-login {
  chroot =
  inet_listener imap { 
    port = 7008
  }
  inet_listener imaps { 
    port = 0
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 { 
    port = 7009
  }
  inet_listener pop3s { 
    port = 0
  }
}
passdb {
  driver = passwd-file
  args = $work/users
}
userdb {
  driver = passwd-file
  args = $work/users
}
DOVECOT
  background dovecot -F -c "$work/dovecot.conf"
  waitfor 7008
  record imap "tcp port 7008" curl -s -u user:secret imap://127.0.0.1:7008/
  record imap-starttls "tcp port 7008" curl -sk --ssl-reqd -u user:secret imap://127.0.0.1:7008/
  record pop3 "tcp port 7009" curl -s -u user:secret pop3://127.0.0.1:7009/
  record pop3-starttls "tcp port 7009" curl -sk --ssl-reqd -u user:secret pop3://127.0.0.1:7009/
fi
