if [ -x /usr/sbin/krb5kdc ] && has kinit; then
  mkdir "$work/kerberos"
  cat >"$work/kerberos/krb5.conf" <<KRB5
[libdefaults]
  default_realm = EXAMPLE.ORG
  dns_lookup_kdc = false
[realms]
  EXAMPLE.ORG = {
    kdc = 127.0.0.1:7110
    database_name = $work/kerberos/principal
    key_stash_file = $work/kerberos/stash
    acl_file = $work/kerberos/acl
  }
[kdcdefaults]
  kdc_listen = 127.0.0.1:7110
  kdc_tcp_listen = 127.0.0.1:7110
KRB5
  kerberos=(env KRB5_CONFIG="$work/kerberos/krb5.conf" KRB5_KDC_PROFILE="$work/kerberos/krb5.conf" KRB5CCNAME="$work/kerberos/cache")
  "${kerberos[@]}" kdb5_util create -s -P secret >>"$work/log" 2>&1
  "${kerberos[@]}" kadmin.local addprinc -pw secret user >>"$work/log" 2>&1
  background "${kerberos[@]}" krb5kdc -n
  waitfor 7110
  record kerberos "udp port 7110" "${kerberos[@]}" bash -c "echo secret | kinit user"
  sed -i "s/dns_lookup_kdc = false/&\n  udp_preference_limit = 1/" "$work/kerberos/krb5.conf"
  record kerberos-tcp "tcp port 7110" "${kerberos[@]}" bash -c "echo secret | kinit user"
fi
