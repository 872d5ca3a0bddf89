if has ganesha.nfsd rpcbind nfs-ls; then
  cat >"$work/ganesha.conf" <<NFS
NFS_CORE_PARAM { Protocols = 3, 4; NFS_Port = 7120; MNT_Port = 7121; Enable_NLM = false; Enable_RQUOTA = false; }
NFSV4 { Graceless = true; RecoveryRoot = $work; RecoveryBackend = fs; }
EXPORT { Export_Id = 1; Path = /mem; Pseudo = /mem; Access_Type = RW; Squash = none; Protocols = 3, 4; SecType = none, sys; FSAL { Name = MEM; } }
NFS
  background rpcbind -f -w
  sleep 1
  background ganesha.nfsd -F -L /dev/stdout -f "$work/ganesha.conf" -p "$work/ganesha.pid"
  waitfor 7120
  record nfs4 "tcp port 7120" nfs-ls "nfs://127.0.0.1/mem?version=4&nfsport=7120"
  record nfs3 "tcp port 7120" nfs-ls "nfs://127.0.0.1/mem?version=3&nfsport=7120&mountport=7121"
fi
