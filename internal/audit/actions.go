package audit

// Action is what happened: a noun and a past participle. The texts are stored,
// exported and documented, so they never change.
type Action string

// What happens to users, and what they do.
const (
	UserSignup             Action = "user.signup"               // an account was made; detail method
	UserLogin              Action = "user.login"                // signed in, all factors proved; detail method
	UserLoginFailed        Action = "user.login_failed"         // refused, at any factor; detail method
	UserLogout             Action = "user.logout"               // a session was ended
	UserLogoutRefused      Action = "user.logout_refused"       // a provider's word that a session ended was not believed; detail method, reason, cause
	UserEnrolled           Action = "user.enrolled"             // got a place in a client
	UserApproved           Action = "user.approved"             // a pending enrolment became active
	UserRejected           Action = "user.rejected"             // a pending enrolment was refused
	UserSuspended          Action = "user.suspended"            // access to a client, or to all, was suspended
	UserUnsuspended        Action = "user.unsuspended"          // and given back
	UserRoleChanged        Action = "user.role_changed"         // detail roles, previous_roles
	UserDeleted            Action = "user.deleted"              // removed from a client, or altogether
	UserCreated            Action = "user.created"              // made by an operator or a service
	UserUpdated            Action = "user.updated"              // profile changed; detail fields
	UserImported           Action = "user.imported"             // brought from another system
	UserPasswordChanged    Action = "user.password_changed"     // by somebody who knew the old one or had no need to
	UserPasswordReset      Action = "user.password_reset"       // by a mailed link or an operator
	UserResetRequested     Action = "user.reset_requested"      // a password reset was asked for
	UserMagicLinkRequested Action = "user.magic_link_requested" // a sign-in link was asked for
	UserEmailVerified      Action = "user.email_verified"       // proved to have an address
	UserTOTPEnabled        Action = "user.totp_enabled"         // authenticator confirmed
	UserTOTPDisabled       Action = "user.totp_disabled"        // authenticator removed
	UserBackupCodesMade    Action = "user.backup_codes_made"    // new backup codes; the old ones are void
	UserBackupCodeUsed     Action = "user.backup_code_used"     // detail remaining
	UserPasskeyAdded       Action = "user.passkey_added"        // detail passkey, title
	UserPasskeyRemoved     Action = "user.passkey_removed"      //nolint:gosec // detail passkey, title; the name of an action
	UserLinked             Action = "user.linked"               // an upstream account was linked; detail upstream
	UserUnlinked           Action = "user.unlinked"             // and unlinked
	UserImpersonated       Action = "user.impersonated"         // an administrator got a token of theirs
)

// Personal access tokens; detail key, name.
const (
	APIKeyCreated Action = "apikey.created" // detail scopes, expires_at
	APIKeyUpdated Action = "apikey.updated" // detail fields
	APIKeyDeleted Action = "apikey.deleted"
)

// Tokens and sessions.
const (
	RefreshReused   Action = "refresh.reused"   // a rotated refresh token came back: its family was ended
	RefreshRevoked  Action = "refresh.revoked"  // ended on request
	SessionsRevoked Action = "sessions.revoked" // all sessions of a user were ended; detail reason
	SessionRenewed  Action = "session.renewed"  // a surface's own token was exchanged for one that lasts longer
	ServiceLogin    Action = "service.login"    // a client authenticated for itself
	ServiceFailed   Action = "service.failed"   // and failed to

	CodeReplayed     Action = "code.replayed"     // an authorization code came twice: its grant was ended; detail grant
	ConsentGiven     Action = "consent.given"     // a person let a client have something; detail scope, resources
	DeviceApproved   Action = "device.approved"   // a person let a device in; detail scope, network (of the device)
	DeviceDenied     Action = "device.denied"     // and turned one away
	ConsentWithdrawn Action = "consent.withdrawn" // a person took back what they let a client have; detail grants

	UpstreamTokenGiven Action = "upstream.token_given" // a client fetched a person's token of an upstream; detail upstream, renewed
	UpstreamTokenEnded Action = "upstream.token_ended" // the upstream renews it no more; detail upstream
)

// Invitations, clients, upstreams, tenants, webhooks.
const (
	InviteCreated       Action = "invite.created"
	InviteAccepted      Action = "invite.accepted"
	InviteRevoked       Action = "invite.revoked"
	ClientCreated       Action = "client.created"
	ClientUpdated       Action = "client.updated" // detail fields
	ClientDeactivated   Action = "client.deactivated"
	ClientDeleted       Action = "client.deleted"
	ClientSecretChanged Action = "client.secret_changed"
	ClientLogoChanged   Action = "client.logo_changed"
	UpstreamCreated     Action = "upstream.created" // an identity provider was configured; detail upstream, kind
	UpstreamUpdated     Action = "upstream.updated" // detail upstream, fields
	UpstreamDeleted     Action = "upstream.deleted" // detail upstream
	TenantCreated       Action = "tenant.created"
	TenantUpdated       Action = "tenant.updated"
	TenantDeleted       Action = "tenant.deleted"
	WebhookCreated      Action = "webhook.created"
	WebhookDeleted      Action = "webhook.deleted"
	WebhookTested       Action = "webhook.tested"      // a ping was asked for
	WebhookRedelivered  Action = "webhook.redelivered" // a delivery was sent once more
)

// Organizations, which some surfaces call accounts; detail org.
const (
	OrgCreated        Action = "org.created"
	OrgUpdated        Action = "org.updated" // detail fields
	OrgDeleted        Action = "org.deleted"
	OrgSwitched       Action = "org.switched"        // somebody acts in another one from now on
	MemberAdded       Action = "member.added"        // detail role
	MemberRoleChanged Action = "member.role_changed" // detail role, previous_role
	MemberRemoved     Action = "member.removed"
	DomainClaimed     Action = "domain.claimed" // detail domain
	DomainVerified    Action = "domain.verified"
	DomainRemoved     Action = "domain.removed"
	DomainLapsed      Action = "domain.lapsed" // its proof was looked for again and again, and is gone
	SetupLinkCreated  Action = "setup.created" // for whoever sets the organization's sign-in up; detail setup_link, email, expires_at
	SetupLinkOpened   Action = "setup.opened"  // for the first time
	SetupLinkEnded    Action = "setup.ended"
	DirectoryEnabled  Action = "directory.enabled" // the organization's directory may speak, by one more token; detail token
	DirectoryDisabled Action = "directory.disabled"

	DirectoryTokenEnded Action = "directory.token_ended"
	ConnectionSet       Action = "connection.set"     // the organization's own provider; detail kind, provider, fields
	ConnectionRemoved   Action = "connection.removed" // and none from now on
	PolicyChanged       Action = "policy.changed"     // how members must sign in; detail sign_in, previous_sign_in
	GroupChanged        Action = "group.changed"      // a group of the directory; detail group, name, added, removed
	GroupRemoved        Action = "group.removed"      // detail group, name
	WaitlistApproved    Action = "waitlist.approved"  // somebody who waits was let in; detail feature
	WaitlistRejected    Action = "waitlist.rejected"
)

// The installation.
const (
	KeyCreated       Action = "key.created"
	KeyRotated       Action = "key.rotated" // detail alg, forced
	ResourcesApplied Action = "resources.applied"
	OperatorCreated  Action = "operator.created" // somebody became an operator
	OperatorRemoved  Action = "operator.removed"
)

// Actions is every action there is.
var Actions = []Action{
	UserSignup, UserLogin, UserLoginFailed, UserLogout, UserLogoutRefused, UserEnrolled, UserApproved, UserRejected,
	UserSuspended, UserUnsuspended, UserRoleChanged, UserDeleted, UserCreated, UserUpdated, UserImported,
	UserPasswordChanged, UserPasswordReset, UserResetRequested, UserMagicLinkRequested, UserEmailVerified,
	UserTOTPEnabled, UserTOTPDisabled, UserBackupCodesMade, UserBackupCodeUsed,
	UserPasskeyAdded, UserPasskeyRemoved, UserLinked, UserUnlinked, UserImpersonated,
	APIKeyCreated, APIKeyUpdated, APIKeyDeleted,
	RefreshReused, RefreshRevoked, SessionsRevoked, SessionRenewed, ServiceLogin, ServiceFailed, CodeReplayed, ConsentGiven, ConsentWithdrawn,
	DeviceApproved, DeviceDenied, UpstreamTokenGiven, UpstreamTokenEnded,
	InviteCreated, InviteAccepted, InviteRevoked,
	ClientCreated, ClientUpdated, ClientDeactivated, ClientDeleted, ClientSecretChanged, ClientLogoChanged,
	UpstreamCreated, UpstreamUpdated, UpstreamDeleted,
	TenantCreated, TenantUpdated, TenantDeleted, WebhookCreated, WebhookDeleted, WebhookTested, WebhookRedelivered,
	OrgCreated, OrgUpdated, OrgDeleted, OrgSwitched, MemberAdded, MemberRoleChanged, MemberRemoved,
	DomainClaimed, DomainVerified, DomainRemoved, DomainLapsed, SetupLinkCreated, SetupLinkOpened, SetupLinkEnded,
	DirectoryEnabled, DirectoryDisabled, DirectoryTokenEnded, ConnectionSet, ConnectionRemoved, PolicyChanged, GroupChanged, GroupRemoved, WaitlistApproved, WaitlistRejected,
	KeyCreated, KeyRotated, ResourcesApplied, OperatorCreated, OperatorRemoved,
}
