package doctor

// ID is the word for a kind of finding. It does not change.
type ID string

// The kinds of findings, by check.
const (
	ConfigInvalid ID = "config-invalid"
	ConfigUnfit   ID = "config-unfit"
	ConfigWarning ID = "config-warning"

	KeyFile   ID = "key-file"
	PeersFile ID = "peers-file"
	WebConfig ID = "web-config"

	FileMissing    ID = "file-missing"
	FileUnreadable ID = "file-unreadable"

	DaemonDown     ID = "daemon-down"
	VIPFault       ID = "vip-fault"
	DuplicateOwner ID = "duplicate-owner"
	NodeDrained    ID = "node-drained"

	InterfaceMissing   ID = "interface-missing"
	InterfaceAmbiguous ID = "interface-ambiguous"
	NoSubnet           ID = "no-subnet"
	NoOwnAddress       ID = "no-own-address"
	NoCarrier          ID = "no-carrier"
	VIPOffSubnet       ID = "vip-off-subnet"

	ARPIgnore ID = "arp-ignore"
	RPFilter  ID = "rp-filter"
	IPv6Off   ID = "ipv6-off"

	NetworkdManages       ID = "networkd-manages"
	NetworkManagerManages ID = "networkmanager-manages"
	VIPInNetworkConfig    ID = "vip-in-network-config"

	VIPAnswered ID = "vip-answered"
	VIPProxied  ID = "vip-proxied"

	VIPElsewhere  ID = "vip-elsewhere"
	IPVSServesVIP ID = "ipvs-serves-vip"

	VIPLeftBehind   ID = "vip-left-behind"
	RulesLeftBehind ID = "rules-left-behind"

	RivalKeepalived ID = "rival-keepalived"
	RivalKubeVIP    ID = "rival-kube-vip"
	RivalVipd       ID = "rival-vipd"

	VRIDTaken   ID = "vrid-taken"
	VRIDDiffers ID = "vrid-differs"
	VRRPVersion ID = "vrrp-version"
	PeerUnheard ID = "peer-unheard"
	NobodyHeard ID = "nobody-heard"

	HelloMissing ID = "hello-missing"
	HelloDropped ID = "hello-dropped"
	HelloRefused ID = "hello-refused"
	HelloFault   ID = "hello-fault"

	PeerSilent   ID = "peer-silent"
	PeerDeaf     ID = "peer-deaf"
	PeerNamesake ID = "peer-namesake"

	SettingsDiffer ID = "settings-differ"

	AdvertsBlocked      ID = "adverts-blocked"
	HellosBlocked       ID = "hellos-blocked"
	SecondChanceBlocked ID = "second-chance-blocked"

	HandoverUnsupported ID = "handover-unsupported"
	KernelLacks         ID = "kernel-lacks"

	HandoverOff  ID = "handover-off"
	HandoverEnds ID = "handover-ends"

	APIServerBindsVIP  ID = "apiserver-binds-vip"
	APIServerMissesVIP ID = "apiserver-misses-vip"

	ProbeUnauthorised ID = "probe-unauthorised"
	ProbeUntrusted    ID = "probe-untrusted"
	ProbeUnconfigured ID = "probe-unconfigured"
	APIServerDown     ID = "apiserver-down"
	APIServerNotReady ID = "apiserver-not-ready"

	CertificateLacksVIP ID = "certificate-lacks-vip"
	CertificateEnds     ID = "certificate-ends"

	NodeIPIsVIP   ID = "node-ip-is-vip"
	NodeIPAbsent  ID = "node-ip-absent"
	HostnameIsVIP ID = "hostname-is-vip"

	EtcdAdvertisesVIP      ID = "etcd-advertises-vip"
	APIServerAdvertisesVIP ID = "apiserver-advertises-vip"
	CNIAutodetection       ID = "cni-autodetection"

	EtcdUnreachable ID = "etcd-unreachable"
	EtcdCertificate ID = "etcd-certificate"
	EtcdAlarm       ID = "etcd-alarm"
	EtcdStranger    ID = "etcd-stranger"

	PortTaken ID = "port-taken"

	BGPSpeakerBeside ID = "bgp-speaker-beside"
	BGPSessionDown   ID = "bgp-session-down"
	BGPSessionFault  ID = "bgp-session-fault"
	BFDSessionDown   ID = "bfd-session-down"
	SpeakerDies      ID = "speaker-dies"
	RoutingMissing   ID = "routing-daemon-missing"

	LoopLate ID = "loop-late"
)

// IDs lists every ID.
func IDs() []ID {
	return []ID{
		ConfigInvalid, ConfigUnfit, ConfigWarning,
		KeyFile, PeersFile, WebConfig,
		FileMissing, FileUnreadable,
		DaemonDown, VIPFault, DuplicateOwner, NodeDrained,
		InterfaceMissing, InterfaceAmbiguous, NoSubnet, NoOwnAddress, NoCarrier, VIPOffSubnet,
		ARPIgnore, RPFilter, IPv6Off,
		NetworkdManages, NetworkManagerManages, VIPInNetworkConfig,
		VIPAnswered, VIPProxied,
		VIPElsewhere, IPVSServesVIP,
		VIPLeftBehind, RulesLeftBehind,
		RivalKeepalived, RivalKubeVIP, RivalVipd,
		VRIDTaken, VRIDDiffers, VRRPVersion, PeerUnheard, NobodyHeard,
		HelloMissing, HelloDropped, HelloRefused, HelloFault,
		PeerSilent, PeerDeaf, PeerNamesake,
		SettingsDiffer,
		AdvertsBlocked, HellosBlocked, SecondChanceBlocked,
		HandoverUnsupported, KernelLacks,
		HandoverOff, HandoverEnds,
		APIServerBindsVIP, APIServerMissesVIP,
		ProbeUnauthorised, ProbeUntrusted, ProbeUnconfigured, APIServerDown, APIServerNotReady,
		CertificateLacksVIP, CertificateEnds,
		NodeIPIsVIP, NodeIPAbsent, HostnameIsVIP,
		EtcdAdvertisesVIP, APIServerAdvertisesVIP, CNIAutodetection,
		EtcdUnreachable, EtcdCertificate, EtcdAlarm, EtcdStranger,
		PortTaken,
		BGPSpeakerBeside, BGPSessionDown, BGPSessionFault, BFDSessionDown, SpeakerDies, RoutingMissing,
		LoopLate,
	}
}
