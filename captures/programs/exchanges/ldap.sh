if has slapd ldapsearch; then
  mkdir -p "$work/ldap"
  cat >"$work/slapd.conf" <<SLAPD
include /etc/ldap/schema/core.schema
moduleload back_mdb
TLSCertificateFile $work/cert.pem
TLSCertificateKeyFile $work/key.pem
database mdb
suffix "dc=example,dc=org"
directory $work/ldap
SLAPD
  background slapd -d 0 -f "$work/slapd.conf" -h ldap://127.0.0.1:7005
  waitfor 7005
  record ldap "tcp port 7005" ldapsearch -x -H ldap://127.0.0.1:7005 -b dc=example,dc=org
  record ldap-starttls "tcp port 7005" env LDAPTLS_REQCERT=never ldapsearch -x -ZZ -H ldap://127.0.0.1:7005 -b dc=example,dc=org
fi
